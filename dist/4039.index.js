const n=4039,l=[4039],m={4039:((t,s,o)=>{o.r(s),o.d(s,{stringify:()=>d.As});var d=o(38815)})};export{n as id,l as ids,m as modules};
