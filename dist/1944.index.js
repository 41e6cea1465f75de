const s=1944,u=[1944],x={91944:((t,d,o)=>{o.r(d),o.d(d,{ProxyAgent:()=>n.kT});var n=o(24371)})};export{s as id,u as ids,x as modules};
