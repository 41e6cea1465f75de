const n=5764,l=[5764],m={85764:((t,s,o)=>{o.r(s),o.d(s,{stringify:()=>d.As});var d=o(7207)})};export{n as id,l as ids,m as modules};
