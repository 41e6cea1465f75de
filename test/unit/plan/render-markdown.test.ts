import { describe, expect, it } from 'vitest';
import { renderPlanMarkdown } from '../../../src/plan/render-markdown.ts';
import {
  hostilePlan,
  largePlan,
  nothingPlanned,
  plan,
  plannedObject,
  plannedRelease,
  promotion,
  stopped,
} from '../../helpers/plans.ts';

const MIB = 1024 * 1024;

it('shows problems first, then releases, their order, kinds, and each change folded', () => {
  expect(
    renderPlanMarkdown(stopped, MIB),
  ).toBe(`### ❌ An import of <code>26-01-31_12-00-00</code> of <code>stage</code> into <code>prod</code> would fail: 2 problems

- **Snapshot:** <code>26-01-31_12-00-00</code>
- **Location:** <code>s3&#58;//backups/26-01-31_12-00-00.tar.zst</code>
- **Digest:** <code>sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03</code>
- **From:** <code>stage</code>
- **Into:** <code>prod (https&#58;//prod.example.com:6443)</code>
- **Computed:** <code>2026-01-31T12:30:00Z</code>
- **plan-id:** <code>26-01-31_12-30-00-0123456789abcdef0123456789abcdef</code>

**Plan: 2 to create, 2 to update, 1 to recreate, 1 to delete, 48 unchanged, 1 kept.**

#### ❌ 2 problems

**a class that does not exist**

<pre>StorageClass fast does not exist.
It is used by: PersistentVolumeClaim shop/data
Hint: Create it, or map it with \`storage-class-map\`.</pre>

**not allowed to this user**

<pre>User deployer may not create services in shop.</pre>

| Change | Release | Chart, app version and revision | Values | Objects | Hooks |
| --- | --- | --- | --- | --- | --- |
| <code>&#126;</code> | <code>shop/shop</code> | <code>shop 1.3.0 → 1.4.0, app 2.0 → 2.1, revision 4 → 5, carries 1 revision</code> | differ | 2 | 1 |
| <code>+</code> | <code>shop/db</code> | <code>postgres 12.1.0, app 16.2, revision 2, carries 2 revisions</code> |  | 1 | 1 |
| <code>=</code> | <code>shop/cache</code> | <code>redis 19.0.0, app 7.2, revision 1</code> |  |  |  |

\`\`\`mermaid
flowchart LR
  n0["+ shop/db"]:::create
  n1["~ shop/shop"]:::update
  n0 -->|"it provides the CustomResourceDefinition dbs.example.com"| n1
  classDef delete fill:#ffebe9,stroke:#cf222e,color:#4c0711
  classDef recreate fill:#ffe3d1,stroke:#bc4c00,color:#471700
  classDef update fill:#fff8c5,stroke:#9a6700,color:#3b2300
  classDef create fill:#dafbe1,stroke:#1a7f37,color:#0b3d1a
  classDef keep fill:#fff8c5,stroke:#9a6700,color:#3b2300,stroke-dasharray:4
  classDef unchanged fill:#eaeef2,stroke:#57606a,color:#24292f
\`\`\`

| Kind | API version | \`-\` delete | \`-/+\` recreate | \`~\` update | \`+\` create | \`!\` keep | \`=\` unchanged |
| --- | --- | --- | --- | --- | --- | --- | --- |
| <code>Namespace</code> | <code>v1</code> |  |  |  |  | 1 |  |
| <code>ConfigMap</code> | <code>v1</code> | 1 |  | 1 | 1 |  | 40 |
| <code>Service</code> | <code>v1</code> |  | 1 |  |  |  |  |
| <code>Secret</code> | <code>v1</code> |  |  |  |  |  | 7 |

#### 1 to delete

<details><summary><code>- ConfigMap shop/leftover</code></summary>

<pre>A former import brought it, and the snapshot has it no more.</pre>

</details>

#### 1 to recreate

<details><summary><code>-/+ Service shop/web</code></summary>

<pre>The server refuses a change of spec.clusterIP.</pre>

\`\`\`diff
@@ -5,2 +5,2 @@
 spec:
-  clusterIP: None
+  clusterIP: 10.96.0.17
\`\`\`

</details>

#### 2 to update

<details><summary><code>&#126; Release shop/shop</code></summary>

<pre>shop 1.3.0 → 1.4.0
app 2.0 → 2.1
revision 4 → 5
carries 1 revision
Its own history stays: the revision 5 is added to it.
waits for shop/db: it provides the CustomResourceDefinition dbs.example.com
hook that runs: pre-upgrade Job shop/migrate</pre>

**Values**

\`\`\`diff
@@ -1,2 +1,2 @@
 image:
-  tag: "2.0"
+  tag: "2.1"
\`\`\`

<code>- CronJob shop/old-report</code>

<code>&#126; Deployment shop/web</code>

\`\`\`diff
@@ -10,3 +10,3 @@
       - name: web
-        image: shop/web:2.0
+        image: shop/web:2.1
\`\`\`

</details>

<details><summary><code>&#126; ConfigMap shop/settings</code></summary>

<pre>takes over from kubectl-client-side-apply: data.greeting</pre>

\`\`\`diff
@@ -1,4 +1,4 @@
 apiVersion: v1
 data:
-  greeting: hello
+  greeting: good day
 kind: ConfigMap
\`\`\`

</details>

#### 2 to create

<details><summary><code>+ Release shop/db</code></summary>

<pre>postgres 12.1.0
app 16.2
revision 2
carries 2 revisions
hook that runs: pre-install Job shop/db-init</pre>

<code>+ StatefulSet shop/db</code>

</details>

<details><summary><code>1 to create</code></summary>

\`\`\`diff
+   ConfigMap shop/a-new-one
\`\`\`

</details>

#### 1 kept

<details><summary><code>! Namespace shop</code></summary>

<pre>Its labels differ, and stay as they are.</pre>

\`\`\`diff
@@ -2,2 +2,2 @@
 labels:
-  tier: gold
+  tier: silver
\`\`\`

</details>
`);
});

it('says that nothing would change', () => {
  expect(
    renderPlanMarkdown(nothingPlanned, MIB),
  ).toBe(`### ✅ No changes: <code>prod</code> already has what <code>26-01-31_12-00-00</code> of <code>stage</code> would bring

- **Snapshot:** <code>26-01-31_12-00-00</code>
- **Location:** <code>s3&#58;//backups/26-01-31_12-00-00.tar.zst</code>
- **Digest:** <code>sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03</code>
- **From:** <code>stage</code>
- **Into:** <code>prod (https&#58;//prod.example.com:6443)</code>
- **Computed:** <code>2026-01-31T12:30:00Z</code>
- **plan-id:** <code>26-01-31_12-30-00-0123456789abcdef0123456789abcdef</code>

**Plan: 0 to create, 0 to update, 0 to recreate, 0 to delete, 13 unchanged, 0 kept.**

| Change | Release | Chart, app version and revision | Values | Objects | Hooks |
| --- | --- | --- | --- | --- | --- |
| <code>=</code> | <code>shop/db</code> | <code>postgres 12.1.0, app 16.2, revision 2</code> |  |  |  |

| Kind | API version | \`-\` delete | \`-/+\` recreate | \`~\` update | \`+\` create | \`!\` keep | \`=\` unchanged |
| --- | --- | --- | --- | --- | --- | --- | --- |
| <code>ConfigMap</code> | <code>v1</code> |  |  |  |  |  | 12 |
`);
});

describe('the sign of the heading', () => {
  const signOf = (of: Parameters<typeof renderPlanMarkdown>[0]) => renderPlanMarkdown(of, MIB).split(' ')[1];

  it('is ❌ where an import would fail', () => {
    expect(signOf(stopped)).toBe('❌');
  });

  it('is ⚠️ where something is deleted, recreated or left different, or fields are taken over', () => {
    expect(signOf(promotion)).toBe('⚠️');
    const deleted = [plannedObject({ change: 'delete' })];
    expect(signOf(plan({ releases: [plannedRelease({ objects: deleted })] }))).toBe('⚠️');
    const conflicts = [{ manager: 'helm', fields: ['data.a'] }];
    expect(signOf(plan({ objects: [plannedObject({ change: 'update', conflicts })] }))).toBe('⚠️');
  });

  it('is ✅ where things are only created and updated', () => {
    expect(signOf(plan({ objects: [plannedObject()], changed: true }))).toBe('✅');
  });
});

describe('what does not fit', () => {
  const diff = `@@ -1 +1 @@\n${'-"<&>`|*é\n'.repeat(100)}`;
  const plans = [stopped, hostilePlan(), largePlan(13_000), largePlan(2000, diff)];

  it.each([8192, 20_000, 60_000, MIB])('is left out, so that it has no more than %i bytes', (room) => {
    for (const large of plans) expect(Buffer.byteLength(renderPlanMarkdown(large, room))).toBeLessThanOrEqual(room);
  });

  it('is counted, and what is deleted is named before what is created', () => {
    const shown = renderPlanMarkdown(largePlan(13_000), 20_000);
    expect(shown).toMatch(
      /Cut to what GitHub shows: \d+ of 4333 to delete by name, \d+ of 4333 to update in detail, \d+ of 4334 to create by name\. The files of `plan-files` have all\.\n$/,
    );
    const [deleted = 0, created = 0] = [...shown.matchAll(/(\d+) of \d+ to (?:delete|create)/g)].map(countIn);
    expect(deleted).toBeGreaterThan(100);
    expect(deleted).toBeGreaterThan(created);
  });

  it('is never a problem while there is room for it', () => {
    const problems = Array.from({ length: 100 }, (_, index) => ({
      kind: 'not-served' as const,
      message: `Kind K${index} is not served.`,
    }));
    const shown = renderPlanMarkdown({ ...largePlan(1000), problems }, 60_000);
    expect(shown.match(/is not served\./g)).toHaveLength(100);
  });

  it('is a note in place of a picture of more than 50 releases', () => {
    const edges = Array.from({ length: 50 }, (_, index) => ({ from: 'a/db', to: `a/r${index}`, reason: 'a CRD' }));
    const shown = renderPlanMarkdown(plan({ edges }), MIB);
    expect(shown).toContain('51 releases depend on each other: too many for a picture here.');
    expect(shown).not.toContain('```mermaid');
    expect(renderPlanMarkdown(plan({ edges: edges.slice(1) }), MIB)).toContain('```mermaid');
  });
});

describe('text of the cluster', () => {
  const shown = renderPlanMarkdown(hostilePlan(), MIB);
  const outside = withoutBlocks(shown);

  it('is no HTML outside of fences', () => {
    const tags = new Set([...outside.matchAll(/<\/?[^>]*>/g)].map(([tag]) => tag));
    expect([...tags].sort()).toEqual(
      ['code', 'details', 'pre', 'summary'].flatMap((name) => [`</${name}>`, `<${name}>`]).sort(),
    );
  });

  it('is no link, mention or emphasis', () => {
    const text = outside.replaceAll(/<pre>[\s\S]*?<\/pre>/g, '');
    expect(text).not.toMatch(/https?:\/\//);
    expect(text).not.toMatch(/\[|\]/);
    const uncoded = text.replaceAll(/<code>.*?<\/code>/g, '');
    expect(uncoded).not.toContain('@');
    expect([...text.matchAll(/<code>(.*?)<\/code>/g)].filter(([, inner = '']) => /[*`\\|~$]/.test(inner))).toEqual([]);
  });

  it('does not end the fence it is in', () => {
    const fences = renderPlanMarkdown(
      plan({ objects: [plannedObject({ change: 'update', diff: '@@\n+````\n```\n</details>\n' })] }),
      MIB,
    );
    expect(fences).toContain('`````diff\n@@\n+````\n```\n</details>\n`````\n\n</details>\n');
  });

  it('is only text in the picture', () => {
    const picture = /```mermaid\n([\s\S]*?)```/.exec(shown)?.[1] ?? '';
    for (const line of picture.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^flowchart LR$|^ {2}n\d+\["[^"`<>[\]{}|%]*"\]:::[a-z]+$|^ {2}n\d+ -->\|"[^"`<>[\]{}|%]*"\| n\d+$|^ {2}classDef [a-z]+ [-a-z:#0-9,]+$/,
      );
    }
  });
});

function countIn(match: RegExpMatchArray): number {
  return Number(match[1]);
}

/** Without fenced blocks, whose end is a fence as long as the one that starts them. */
function withoutBlocks(markdown: string): string {
  return markdown.replaceAll(/^(`{3,})\w+\n[\s\S]*?^\1$/gm, '');
}
