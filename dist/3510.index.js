const _=3510,e=[3510],n={83510:((t,s,o)=>{o.d(s,{parse:()=>d.qg});var d=o(7207)})};export{_ as id,e as ids,n as modules};
