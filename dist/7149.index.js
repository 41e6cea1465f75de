const s=7149,u=[7149],x={77149:((t,d,o)=>{o.r(d),o.d(d,{ProxyAgent:()=>n.kT});var n=o(40576)})};export{s as id,u as ids,x as modules};
