const r=9826,_=[9826],c={89826:((n,t,e)=>{e.d(t,{Decrypter:()=>o.Hz,Encrypter:()=>o.T7});var o=e(81539)})};export{r as id,_ as ids,c as modules};
