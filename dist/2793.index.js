const tn=2793,on=[2793],rn={12793:((z,O,p)=>{p.r(O),p.d(O,{renderPlanMarkdown:()=>d});var u=p(54285),E=p(67335),t=p(54873);const D=50,R=200,y=80,v={create:"fill:#dafbe1,stroke:#1a7f37,color:#0b3d1a",update:"fill:#fff8c5,stroke:#9a6700,color:#3b2300",recreate:"fill:#ffe3d1,stroke:#bc4c00,color:#471700",delete:"fill:#ffebe9,stroke:#cf222e,color:#4c0711",keep:"fill:#fff8c5,stroke:#9a6700,color:#3b2300,stroke-dasharray:4",unchanged:"fill:#eaeef2,stroke:#57606a,color:#24292f"};function L(n){if(n.edges.length===0)return{};const e=new Map(n.releases.map(f=>[(0,t.Vb)(f),f.change])),o=[...new Set(n.edges.flatMap(({from:f,to:a})=>[f,a]))];if(o.length>D||n.edges.length>R)return{note:`${o.length} releases depend on each other: too many for a picture here.`};const i=new Map(o.map((f,a)=>[f,`n${a}`])),r=o.map(f=>{const a=e.get(f)??"unchanged";return`  ${i.get(f)}["${t.Am[a]} ${w(f)}"]:::${a}`}),g=n.edges.map(({from:f,to:a,reason:C})=>`  ${i.get(f)} -->|"${w(C)}"| ${i.get(a)}`),h=t.Y6.map(f=>`  classDef ${f} ${v[f]}`);return{chart:["flowchart LR",...r,...g,...h].join(`
`)}}function w(n){const e=(0,t.P8)(n);return(e.length>y?`${e.slice(0,y-1)}\u2026`:e).replace(/[^\p{L}\p{N} .,/()…-]/gu,i=>`#${i.codePointAt(0)};`)}const S=2*1024,j=32*1024,s=512,l={good:"\u2705",care:"\u26A0\uFE0F",problems:"\u274C"};function d(n,e){const o=[`### ${l[(0,t.iW)(n)]} ${(0,t.gD)(n,c=>m(V(c)))}
`,[...(0,t.xS)(n),["plan-id",n.id]].map(([c,b])=>`- **${c}:** ${m(V(b))}
`).join(""),`**${(0,t.oM)(n)}**
`],i=Math.min(j,Math.floor(e/16));let r=e-S-(0,u.$$)(o);const g=[],h=(c,b,F,_)=>{const k=(0,u.Dh)(r*c,b,_);return r-=(0,u.$$)(k),k.length<b.length&&g.push(`${k.length} of ${b.length} ${F}`),k},f=h(1/2,n.problems,"problems",c=>Z(c,i)),a=h(1/4,(0,t.mA)(n.releases),"releases",U),C=h(1/4,n.kinds,"kinds",Q),{chart:N,note:x}=L(n),q=h(1/4,N===void 0?[]:[N],"pictures",c=>(0,u.OF)("mermaid",c)),nn=t.Y6.flatMap(c=>{const b=$(n,c),[F,_]=X(b,M),k=h(3/4,F,`${t.r8[c]} in detail`,G=>B(n,G,i)),T=h(1,_,`${t.r8[c]} by name`,G=>`${t.Am[c].padEnd(3)} ${A(G)}
`);return k.length+T.length===0?[]:[`#### ${b.length} ${t.r8[c]}
`,...k,...T.length===0?[]:[I(`${T.length} ${t.r8[c]}`,(0,u.OF)("diff",T.join("")))]]});return[...o,f.length>0?`#### \u274C ${(0,t.pq)(n.problems.length,"problem")}
`:"",...f,W(["Change","Release","Chart, app version and revision","Values","Objects","Hooks"],a),x===void 0?"":`${x}
`,...q,W(["Kind","API version",...t.Y6.map(c=>`\`${t.Am[c]}\` ${c}`)],C),...nn,g.length>0?`Cut to what GitHub shows: ${g.join(", ")}. The files of \`plan-files\` have all.
`:""].filter(c=>c!=="").join(`
`)}function $({releases:n,objects:e},o){if(o==="unchanged")return[];const i=r=>r.change===o;return[...(0,t.mA)(n.filter(i)).map(r=>({...r,release:r})),...(0,t.mA)(e.filter(i)).map(r=>({...r,object:r}))]}function A({object:n,...e}){return(0,t.P8)(n===void 0?`Release ${(0,t.Vb)(e)}`:`${n.kind} ${(0,t.Vb)(n)}`)}function M({release:n,object:e,message:o}){return n!==void 0||o!==void 0||(e?.diff??"")!==""||(e?.conflicts?.length??0)>0}function B(n,e,o){const{release:i,object:r}=e,g=i===void 0?r===void 0?[]:K(r,o):H(n,i,o),h=(0,u.Dh)(2*o,g,a=>a),f=g.length>h.length?`${g.length-h.length} parts more
`:"";return I(`${t.Am[e.change]} ${A(e)}`,[...h,f].filter(a=>a!=="").join(`
`))}function H(n,e,o){const i=[...(0,t.x4)(e),...e.message===void 0?[]:[e.message],...(0,t.GV)(n.edges,e),...e.hooks.map(r=>`hook that runs: ${r}`)];return[i.length===0?"":Y(i.join(`
`),o),e.values===""?"":`**Values**

${J(e.values,o)}`,...(0,t.mA)(e.objects).map(r=>[`${m(`${t.Am[r.change]} ${r.kind} ${(0,t.Vb)(r)}`)}
`,...K(r,o)].join(`
`))].filter(r=>r!=="")}function K({message:n,conflicts:e,diff:o},i){const r=[...n===void 0?[]:[n],...(e??[]).map(t.we)];return[...r.length===0?[]:[Y(r.join(`
`),i)],...o===void 0||o===""?[]:[J(o,i)]]}function J(n,e){return(0,u.OF)("diff",(0,u.Jj)((0,E.Pp)(n).join(`
`),e))}function Z(n,e){return`**${t.w2[n.kind]}**

${Y((0,t.BJ)(n),e)}`}function U(n){return P([m(t.Am[n.change]),m((0,t.Vb)(n)),m(V((0,t.x4)(n).join(", "))),n.values===""?"":"differ",n.objects.length===0?"":String(n.objects.length),n.hooks.length===0?"":String(n.hooks.length)])}function Q(n){return P([m(n.kind),m(n.apiVersion),...t.Y6.map(e=>String(n[e]||""))])}function W(n,e){return e.length===0?"":`${P(n)}|${" --- |".repeat(n.length)}
${e.join("")}`}function P(n){return`| ${n.join(" | ")} |
`}function m(n){return(0,u.aY)((0,t.RK)(n)).replace(/:(?=\/\/)|(?<=www)\./gi,e=>`&#${e.charCodeAt(0)};`)}function Y(n,e){return(0,u.AS)((0,t.RK)(n),e)}function I(n,e){return`<details><summary>${m(n)}</summary>

${e}
</details>
`}function V(n){return(0,u.Jj)((0,t.P8)(n),s)}function X(n,e){return[n.filter(e),n.filter(o=>!e(o))]}}),54285:((z,O,p)=>{p.d(O,{$$:()=>D,AS:()=>y,Dh:()=>t,Jj:()=>j,OF:()=>v,aY:()=>L,mG:()=>w,nM:()=>R,qy:()=>S});var u=p(29073);const E=32*1024;function t(s,l,d){const $=[];let A=s;for(const M of l){const B=d(M);if(A-=Buffer.byteLength(B)+1,A<0)break;$.push(B)}return $}function D(s){return s.reduce((l,d)=>l+Buffer.byteLength(d)+1,0)}function R(s){return`| ${s.map(l=>w(l)).join(" | ")} |
`}function y(s,l=E){return`<pre>${S((0,u.g)(j(s,l)))}</pre>
`}function v(s,l){const d=l.match(/`{3,}/g)?.reduce((A,M)=>Math.max(A,M.length),0)??2,$="`".repeat(d+1);return`${$}${s}
${l}${l.endsWith(`
`)?"":`
`}${$}
`}function L(s){return`<code>${S((0,u.T)(s)).replace(/[\\`*[\]~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g,d=>`&#${d.charCodeAt(0)};`)}</code>`}function w(s){return S((0,u.T)(s).replace(/[\\`*_[\]#~]/g,"\\$&")).replaceAll("|","\\|")}function S(s){return s.replaceAll("&","&amp;").replaceAll("<","&lt;").replaceAll(">","&gt;").replaceAll('"',"&quot;")}function j(s,l){const d=Buffer.byteLength(s);if(d<=l)return s;const $=Buffer.from(s.slice(0,l)).subarray(0,l).toString("utf8").replace(/\uFFFD$/,"");return`${$}
\u2026 (${d-Buffer.byteLength($)} bytes more)`}})};export{tn as id,on as ids,rn as modules};
