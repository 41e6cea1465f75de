const t=7985,d=[7985],s={97985:((n,o,e)=>{e.d(o,{KubeConfig:()=>_.ypW});var _=e(22583)})};export{t as id,d as ids,s as modules};
