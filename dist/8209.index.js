const c=8209,s=[8209],l={58209:((E,n,_)=>{_.r(n),_.d(n,{Agent:()=>i.a,buildConnector:()=>t.a});var d=_(59136),t=_.n(d),o=_(57405),i=_.n(o)})};export{c as id,s as ids,l as modules};
