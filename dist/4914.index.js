const t=4914,d=[4914],s={34914:((n,o,e)=>{e.d(o,{KubeConfig:()=>_.ypW});var _=e(77471)})};export{t as id,d as ids,s as modules};
