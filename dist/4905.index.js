const _=4905,e=[4905],n={4905:((t,s,o)=>{o.d(s,{parse:()=>d.qg});var d=o(38815)})};export{_ as id,e as ids,n as modules};
