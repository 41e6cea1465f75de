const c=5872,s=[5872],l={65872:((E,n,_)=>{_.r(n),_.d(n,{Agent:()=>i.a,buildConnector:()=>t.a});var d=_(81952),t=_.n(d),o=_(43389),i=_.n(o)})};export{c as id,s as ids,l as modules};
