const r=1385,_=[1385],c={1385:((n,t,e)=>{e.d(t,{Decrypter:()=>o.Hz,Encrypter:()=>o.T7});var o=e(7707)})};export{r as id,_ as ids,c as modules};
