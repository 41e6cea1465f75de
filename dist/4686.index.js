const c=4686,d=[4686],n={64686:((e,s,t)=>{t.d(s,{Document:()=>o.yo,Scalar:()=>o.X5,parseDocument:()=>o.Tp,visit:()=>o.YR});var o=t(38815)})};export{c as id,d as ids,n as modules};
