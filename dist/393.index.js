const e=393,_=[393],c={10393:((d,s,o)=>{o.d(s,{WebSocket:()=>t.kb});var t=o(52977)})};export{e as id,_ as ids,c as modules};
