const te=2633,ne=[2633],re={52633:((G,M,f)=>{f.r(M),f.d(M,{renderPlanHtml:()=>H});var x=f(77598),g=f(54285),q=f(67335),o=f(54873);const B=120,O=34,b=270,v=30,k=70,w=14,h=8;function i({releases:e,edges:t}){const r=[...new Set(t.flatMap(({from:d,to:$})=>[d,$]))];if(r.length===0||r.length>B)return;const n=new Map(e.map(d=>[(0,o.Vb)(d),d.change])),a=c(r,t),s=r.map(d=>{const $=n.get(d)??"unchanged",{x:j,y:P}=a.get(d)??l,_=(0,g.qy)(E(`${o.Am[$]} ${(0,o.P8)(d)}`));return`<g class="c-${$}"><title>${(0,g.qy)((0,o.P8)(d))}: ${$}</title><rect x="${j}" y="${P}" width="${b}" height="${v}" rx="6"/><text x="${j+10}" y="${P+19}">${_}</text></g>`}),m=t.map(({from:d,to:$,reason:j})=>`<path d="${A(a.get(d)??l,a.get($)??l)}" marker-end="url(#head)"><title>${(0,g.qy)((0,o.P8)(j))}</title></path>`),S=[...a.values()],R=Math.max(...S.map(({x:d})=>d))+b+h,N=Math.max(...S.map(({y:d})=>d))+v+h;return`<svg width="${R}" height="${N}" viewBox="0 0 ${R} ${N}" role="img" aria-label="Releases and what they wait for"><defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>${m.join("")}${s.join("")}</svg>`}const l={x:h,y:h};function c(e,t){const r=u(e,t),n=new Map;return new Map(e.map(a=>{const s=r.get(a)??0,m=n.get(s)??0;return n.set(s,m+1),[a,{x:h+s*(b+k),y:h+m*(v+w)}]}))}function u(e,t){const r=new Map(e.map(n=>[n,0]));for(let n=1;n<e.length;n++){let a=!1;for(const{from:s,to:m}of t){const S=Math.min((r.get(s)??0)+1,e.length-1);s===m||(r.get(m)??0)>=S||(r.set(m,S),a=!0)}if(!a)break}return y(r)}function y(e){const t=[...new Set(e.values())].sort((r,n)=>r-n);return new Map([...e].map(([r,n])=>[r,t.indexOf(n)]))}function A(e,t){const[r,n]=[e.x+b,e.y+v/2],[a,s]=[t.x,t.y+v/2],m=Math.max(k/2,Math.abs(a-r)/3);return`M${r} ${n}C${r+m} ${n} ${a-m} ${s} ${a} ${s}`}function E(e){return e.length>O?`${e.slice(0,O-1)}\u2026`:e}const T=`
:root { color-scheme: light dark; --ground: #ffffff; --raised: #f6f8fa; --line: #d0d7de; --text: #1f2328; --quiet: #59636e;
  --create: #1a7f37; --update: #7d4e00; --recreate: #bc4c00; --delete: #cf222e; --keep: #8250df; --link: #0969da;
  --added: #dafbe1; --removed: #ffebe9; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0d1117; --raised: #161b22; --line: #3d444d; --text: #f0f6fc; --quiet: #9198a1;
    --create: #3fb950; --update: #d29922; --recreate: #f0883e; --delete: #ff7b72; --keep: #bc8cff; --link: #58a6ff;
    --added: #12361f; --removed: #4b1a1d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1.5rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Open Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
code, pre, .s { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .25rem 0; padding: .5rem .75rem; background: var(--raised); border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt, small, .quiet { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
.tally { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; padding: 0; list-style: none; }
.tally li { padding: .35rem .75rem; border: 1px solid var(--line); border-radius: 6px; }
.tally b { font-size: 1.1rem; }
.problem { margin: .5rem 0; padding: .5rem .75rem; border: 1px solid var(--delete); border-left-width: 5px; border-radius: 6px; }
.problem strong { color: var(--delete); }
.problem pre { background: none; padding: 0; }
form { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem .75rem; align-items: center;
  padding: .75rem 0; background: var(--ground); border-bottom: 1px solid var(--line); }
[hidden] { display: none !important; }
input, select, button { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line);
  border-radius: 6px; padding: .3rem .6rem; max-width: 100%; }
input[type=search] { flex: 1 1 14rem; }
fieldset { display: flex; flex-wrap: wrap; gap: .25rem .75rem; margin: 0; padding: 0; border: 0; }
.rows { border: 1px solid var(--line); border-radius: 6px; }
.row { content-visibility: auto; contain-intrinsic-size: auto 2rem; border-top: 1px solid var(--line); }
.row:first-child { border-top: 0; }
.row > .s { padding: .3rem .75rem; overflow-wrap: anywhere; }
div.row > .s { padding-left: 1.85rem; }
summary { cursor: pointer; }
summary:hover { background: var(--raised); }
.body { padding: 0 .75rem .75rem 1.85rem; }
.body .row { content-visibility: visible; }
.m { display: inline-block; min-width: 2.5em; font-weight: 700; }
[data-c=create] > .s > .m, .c-create { color: var(--create); } [data-c=update] > .s > .m, .c-update { color: var(--update); }
[data-c=recreate] > .s > .m, .c-recreate { color: var(--recreate); } [data-c=delete] > .s > .m, .c-delete { color: var(--delete); }
[data-c=keep] > .s > .m, .c-keep { color: var(--keep); } [data-c=unchanged] > .s, .c-unchanged { color: var(--quiet); }
pre ins, pre del, pre i { display: block; text-decoration: none; font-style: normal; }
pre ins { background: var(--added); } pre del { background: var(--removed); } pre i { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .25rem .75rem; border: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: var(--text); }
svg rect { fill: var(--raised); stroke: currentColor; stroke-width: 1.5; }
svg path { fill: none; stroke: var(--quiet); stroke-width: 1.25; } svg marker path { fill: var(--quiet); stroke: none; }
@media print {
  form { display: none; } body { max-width: none; padding: 0; } .row { content-visibility: visible; break-inside: avoid-page; }
}
`,I=`
'use strict';
(() => {
  const form = document.getElementById('filter');
  const rows = [...document.querySelectorAll('#content > section > .rows > .row')].map((element) => ({
    element,
    change: element.dataset.c,
    kind: element.dataset.k,
    namespace: element.dataset.n,
    text: [...element.querySelectorAll('.s')].map((line) => line.textContent).join(' ').toLowerCase(),
  }));
  const sections = [...document.querySelectorAll('#content > section')];
  const { text, kind, namespace } = form.elements;
  const boxes = [...form.querySelectorAll('[name=change]')];
  const choices = (select, key) => {
    const values = [...new Set(rows.map((row) => row[key]))].filter((value) => value !== '').sort();
    select.append(...values.map((value) => new Option(value, value)));
  };
  const matches = () => {
    const words = text.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const changes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    return (row) =>
      (changes.size === 0 || changes.has(row.change)) &&
      (kind.selectedIndex < 1 || row.kind === kind.value) &&
      (namespace.selectedIndex < 1 || row.namespace === namespace.value) &&
      words.every((word) => row.text.includes(word));
  };
  const filter = () => {
    const test = matches();
    let shown = 0;
    for (const row of rows) {
      const hide = !test(row);
      if (!hide) shown++;
      if (row.element.hidden !== hide) row.element.hidden = hide;
    }
    for (const section of sections) section.hidden = section.querySelector(':scope > .rows > .row:not([hidden])') === null;
    document.getElementById('shown').textContent = shown + ' of ' + rows.length + ' shown';
  };
  let waiting;
  form.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 60);
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(filter));
  // As many as can be laid out at once.
  const MOST_OPEN = 500;
  const openAll = (open) => {
    let left = MOST_OPEN;
    for (const { element } of rows) {
      if (element.localName !== 'details' || element.hidden || element.open === open) continue;
      if (open && left-- <= 0) break;
      for (const details of [element, ...element.querySelectorAll('details')]) details.open = open;
    }
  };
  document.getElementById('open').addEventListener('click', () => openAll(true));
  document.getElementById('close').addEventListener('click', () => openAll(false));
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(input|select|textarea)$/.test(event.target.localName)) return;
    event.preventDefault();
    text.focus();
  });
  choices(kind, 'kind');
  choices(namespace, 'namespace');
  filter();
  form.hidden = false;
})();
`,z="</div></section>";function H(e){const t=(0,o.mA)(e.releases),r=[`<h1>${p((0,o.gD)(e))}</h1>`,`<dl>${[...(0,o.xS)(e),["plan-id",e.id]].map(([n,a])=>`<dt>${n}</dt><dd><code>${p(a)}</code></dd>`).join("")}</dl>`,V(e),...W(e),...X(e),U(),'<div id="content">',...t.length===0?[]:[D("Releases",(0,o.O1)((0,o.Uv)(t))),...t.map(n=>J(e,n)),z],...(0,o.Xo)(e).flatMap(Z),"</div>",Q(e),`<p><strong>${(0,o.oM)(e)}</strong></p>`];return`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${K()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Plan: ${p(e.snapshot.id)} into ${p(e.target.context)}</title>
<style>${T}</style>
</head>
<body>
${r.join(`
`)}
<script>${I}<\/script>
</body>
</html>
`}function K(){const e=t=>(0,x.createHash)("sha256").update(t).digest("base64");return["default-src 'none'",`style-src 'sha256-${e(T)}'`,`script-src 'sha256-${e(I)}'`,"base-uri 'none'","form-action 'none'"].join("; ")}function V(e){const t=(0,o.sv)(e);return`<ul class="tally" aria-label="Counts">${o.Y6.map(n=>`<li class="c-${n}"><b>${o.Am[n]} ${t[n]}</b> ${o.r8[n]}</li>`).join("")}</ul>`}function W({problems:e}){return e.length===0?[]:[`<section aria-label="Problems"><h2>Problems (${e.length})</h2>`,...e.map(({kind:t,message:r,hint:n})=>{const a=n===void 0?"":`<pre>Hint: ${L(n)}</pre>`;return`<div class="problem"><strong>${o.w2[t]}</strong><pre>${L(r)}</pre>${a}</div>`}),"</section>"]}function X(e){if(e.edges.length===0)return[];const t=e.edges.map(({from:n,to:a,reason:s})=>`<li>${p(`${a} waits for ${n}: ${s}`)}</li>`),r=i(e);return['<section aria-label="Order of releases"><h2>Order of releases</h2>',...r===void 0?[]:[`<div class="wide">${r}</div>`],`<details${r===void 0?" open":""}><summary>Who waits for whom</summary><ul>${t.join("")}</ul></details>`,"</section>"]}function U(){return`<h2>Changes</h2>
<form id="filter" role="search" hidden>
<input type="search" name="text" placeholder="Name or kind (press /)" aria-label="Filter by text" autocomplete="off">
<select name="kind" aria-label="Filter by kind"><option value="">All kinds</option></select>
<select name="namespace" aria-label="Filter by namespace"><option value="">All namespaces</option></select>
<fieldset aria-label="Filter by change">${o.Y6.map(t=>`<label><input type="checkbox" name="change" value="${t}"> <span class="c-${t}">${o.Am[t]}</span> ${t}</label>`).join("")}</fieldset>
<button type="button" id="open">Open all</button>
<button type="button" id="close">Close all</button>
<button type="reset">Reset</button>
<output id="shown" aria-live="polite"></output>
</form>`}function D(e,t){return`<section><h3>${p(e)} <small>${t}</small></h3><div class="rows">`}function Z(e){return e.objects.length===0?[]:[D(`${e.kind} (${e.apiVersion})`,(0,o.O1)(e.tally)),...e.objects.map(t=>C(t,t.kind,`${t.kind} ${(0,o.Vb)(t)}`,Y(t))),z]}function J(e,t){const r=[...t.message===void 0?[]:[t.message],...(0,o.GV)(e.edges,t),...t.hooks.map(s=>`hook that runs: ${s}`)],n=(0,o.mA)(t.objects).map(s=>C(s,s.kind,`${s.kind} ${(0,o.Vb)(s)}`,Y(s))),a=[r.length===0?"":`<pre>${L(r.join(`
`))}</pre>`,t.values===""?"":`<div class="quiet">Values</div>${F(t.values)}`,n.length===0?"":`<div class="quiet">Manifest</div><div class="rows">${n.join(`
`)}</div>`];return C(t,"Release",(0,o.NC)(t),a.join(""))}function Y({message:e,conflicts:t,diff:r}){const n=[...e===void 0?[]:[e],...(t??[]).map(o.we)];return[n.length===0?"":`<pre>${L(n.join(`
`))}</pre>`,r===void 0||r===""?"":F(r)].join("")}function C(e,t,r,n){const a=`class="row" data-c="${e.change}" data-k="${p(t)}" data-n="${p(e.namespace??"")}"`,s=`<span class="m">${o.Am[e.change]}</span>${p(r)}`;return n===""?`<div ${a}><div class="s">${s}</div></div>`:`<details ${a}><summary class="s">${s}</summary><div class="body">${n}</div></details>`}function F(e){return`<pre>${(0,q.WS)(e).map(({kind:r,lines:n})=>{const a={added:"ins",removed:"del",hunk:"i",same:void 0}[r],s=(0,g.qy)(`${n.join(`
`)}
`);return a===void 0?`<span>${s}</span>`:`<${a}>${s}</${a}>`}).join("")}</pre>`}function Q({kinds:e}){if(e.length===0)return"";const t=e.map(n=>{const a=o.Y6.map(s=>`<td>${n[s]||""}</td>`).join("");return`<tr><td><code>${p(`${n.kind} (${n.apiVersion})`)}</code></td>${a}</tr>`});return`<h2>Kinds</h2><div class="wide"><table><tr><th scope="col">Kind</th>${o.Y6.map(n=>`<th scope="col">${n}</th>`).join("")}</tr>${t.join("")}</table></div>`}function p(e){return(0,g.qy)((0,o.P8)(e))}function L(e){return(0,g.qy)((0,o.RK)(e).trimEnd())}}),54285:((G,M,f)=>{f.d(M,{$$:()=>o,AS:()=>O,Dh:()=>q,Jj:()=>h,OF:()=>b,aY:()=>v,mG:()=>k,nM:()=>B,qy:()=>w});var x=f(29073);const g=32*1024;function q(i,l,c){const u=[];let y=i;for(const A of l){const E=c(A);if(y-=Buffer.byteLength(E)+1,y<0)break;u.push(E)}return u}function o(i){return i.reduce((l,c)=>l+Buffer.byteLength(c)+1,0)}function B(i){return`| ${i.map(l=>k(l)).join(" | ")} |
`}function O(i,l=g){return`<pre>${w((0,x.g)(h(i,l)))}</pre>
`}function b(i,l){const c=l.match(/`{3,}/g)?.reduce((y,A)=>Math.max(y,A.length),0)??2,u="`".repeat(c+1);return`${u}${i}
${l}${l.endsWith(`
`)?"":`
`}${u}
`}function v(i){return`<code>${w((0,x.T)(i)).replace(/[\\`*[\]~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g,c=>`&#${c.charCodeAt(0)};`)}</code>`}function k(i){return w((0,x.T)(i).replace(/[\\`*_[\]#~]/g,"\\$&")).replaceAll("|","\\|")}function w(i){return i.replaceAll("&","&amp;").replaceAll("<","&lt;").replaceAll(">","&gt;").replaceAll('"',"&quot;")}function h(i,l){const c=Buffer.byteLength(i);if(c<=l)return i;const u=Buffer.from(i.slice(0,l)).subarray(0,l).toString("utf8").replace(/\uFFFD$/,"");return`${u}
\u2026 (${c-Buffer.byteLength(u)} bytes more)`}})};export{te as id,ne as ids,re as modules};
