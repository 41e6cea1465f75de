const _=905,e=[905],n={4905:((t,s,o)=>{o.d(s,{parse:()=>d.qg});var d=o(38815)})};export{_ as id,e as ids,n as modules};
