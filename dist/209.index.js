const s=209,g=[209],u={58209:((t,d,o)=>{o.r(d),o.d(d,{Agent:()=>n.g6,ProxyAgent:()=>n.kT,buildConnector:()=>n.gU});var n=o(24371)})};export{s as id,g as ids,u as modules};
