import type { Plan, PlannedKind, PlannedObject, PlannedRelease } from '../../src/plan/plan.ts';

const none = { create: 0, update: 0, recreate: 0, delete: 0, unchanged: 0, keep: 0 };

/** One kind, with what matters to the test put in its place. */
export function plannedKind(changes: Partial<PlannedKind> = {}): PlannedKind {
  return { apiVersion: 'v1', kind: 'ConfigMap', resource: 'configmaps', ...none, ...changes };
}

/** One object, with what matters to the test put in its place. */
export function plannedObject(changes: Partial<PlannedObject> = {}): PlannedObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'settings', change: 'create', ...changes };
}

/** A new release, with what matters to the test put in its place. */
export function plannedRelease(changes: Partial<PlannedRelease> = {}): PlannedRelease {
  return {
    name: 'db',
    namespace: 'shop',
    change: 'create',
    after: { chart: 'postgres', chartVersion: '12.1.0', appVersion: '16.2', revision: 2, status: 'deployed' },
    revisions: 2,
    values: '',
    objects: [],
    hooks: [],
    ...changes,
  };
}

/** A plan that changes nothing, with what matters to the test put in its place. */
export function plan(changes: Partial<Plan> = {}): Plan {
  return {
    format: 1,
    id: '26-01-31_12-30-00-0123456789abcdef0123456789abcdef',
    created: '2026-01-31T12:30:00Z',
    snapshot: {
      id: '26-01-31_12-00-00',
      location: 's3://backups/26-01-31_12-00-00.tar.zst',
      digest: 'sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',
      cluster: 'stage',
    },
    target: { context: 'prod', server: 'https://prod.example.com:6443', uid: '6c1f4f7a-0d3e-4a7e-9a4e-2f9d1f0c7b11' },
    releases: [],
    edges: [],
    objects: [],
    kinds: [],
    problems: [],
    counts: { created: 0, updated: 0, unchanged: 0, deleted: 0, skipped: 0, failed: 0 },
    changed: false,
    ...changes,
  };
}

/** What a second import of the same snapshot would do. */
export const nothingPlanned: Plan = plan({
  releases: [
    plannedRelease({
      change: 'unchanged',
      before: { chart: 'postgres', chartVersion: '12.1.0', appVersion: '16.2', revision: 2, status: 'deployed' },
    }),
  ],
  kinds: [plannedKind({ unchanged: 12 })],
  counts: { created: 0, updated: 0, unchanged: 13, deleted: 0, skipped: 0, failed: 0 },
});

/** A promotion with something of everything, and nothing in its way. */
export const promotion: Plan = plan({
  releases: [
    plannedRelease({
      hooks: ['pre-install Job shop/db-init'],
      objects: [plannedObject({ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db' })],
    }),
    plannedRelease({
      name: 'shop',
      change: 'update',
      before: { chart: 'shop', chartVersion: '1.3.0', appVersion: '2.0', revision: 4, status: 'deployed' },
      after: { chart: 'shop', chartVersion: '1.4.0', appVersion: '2.1', revision: 5, status: 'deployed' },
      revisions: 1,
      values: '@@ -1,2 +1,2 @@\n image:\n-  tag: "2.0"\n+  tag: "2.1"\n',
      objects: [
        plannedObject({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: 'web',
          change: 'update',
          diff: '@@ -10,3 +10,3 @@\n       - name: web\n-        image: shop/web:2.0\n+        image: shop/web:2.1\n',
        }),
        plannedObject({ apiVersion: 'batch/v1', kind: 'CronJob', name: 'old-report', change: 'delete' }),
      ],
      hooks: ['pre-upgrade Job shop/migrate'],
      message: 'Its own history stays: the revision 5 is added to it.',
    }),
    plannedRelease({
      name: 'cache',
      change: 'unchanged',
      before: { chart: 'redis', chartVersion: '19.0.0', appVersion: '7.2', revision: 1, status: 'deployed' },
      after: { chart: 'redis', chartVersion: '19.0.0', appVersion: '7.2', revision: 1, status: 'deployed' },
    }),
  ],
  edges: [{ from: 'shop/db', to: 'shop/shop', reason: 'it provides the CustomResourceDefinition dbs.example.com' }],
  objects: [
    plannedObject({ name: 'a-new-one' }),
    plannedObject({
      name: 'settings',
      change: 'update',
      diff: '@@ -1,4 +1,4 @@\n apiVersion: v1\n data:\n-  greeting: hello\n+  greeting: good day\n kind: ConfigMap\n',
      conflicts: [{ manager: 'kubectl-client-side-apply', fields: ['data.greeting'] }],
    }),
    plannedObject({
      name: 'leftover',
      change: 'delete',
      message: 'A former import brought it, and the snapshot has it no more.',
    }),
    plannedObject({
      kind: 'Service',
      name: 'web',
      change: 'recreate',
      diff: '@@ -5,2 +5,2 @@\n spec:\n-  clusterIP: None\n+  clusterIP: 10.96.0.17\n',
      message: 'The server refuses a change of spec.clusterIP.',
    }),
    plannedObject({
      apiVersion: 'v1',
      kind: 'Namespace',
      namespace: undefined,
      name: 'shop',
      change: 'keep',
      message: 'Its labels differ, and stay as they are.',
      diff: '@@ -2,2 +2,2 @@\n labels:\n-  tier: gold\n+  tier: silver\n',
    }),
  ],
  kinds: [
    plannedKind({ kind: 'Namespace', resource: 'namespaces', keep: 1 }),
    plannedKind({ create: 1, update: 1, delete: 1, unchanged: 40 }),
    plannedKind({ kind: 'Service', resource: 'services', recreate: 1 }),
    plannedKind({ kind: 'Secret', resource: 'secrets', unchanged: 7 }),
  ],
  counts: { created: 2, updated: 3, unchanged: 48, deleted: 1, skipped: 1, failed: 0 },
  changed: true,
});

/** The same where the target is not ready for it. */
export const stopped: Plan = {
  ...promotion,
  problems: [
    {
      kind: 'missing-class',
      message: 'StorageClass fast does not exist.\nIt is used by: PersistentVolumeClaim shop/data',
      hint: 'Create it, or map it with `storage-class-map`.',
    },
    { kind: 'forbidden', message: 'User deployer may not create services in shop.' },
  ],
};

/** Names and texts that would act in HTML, Markdown, Mermaid or a terminal, if anything let them. */
export const HOSTILE = [
  '<script>window.hacked = 1</script>',
  '</script><script>window.hacked = 2</script>',
  '"><img src=x onerror="window.hacked=3">',
  "' onmouseover='window.hacked=4",
  '</pre></details><svg onload="window.hacked=5">',
  ']]>--><iframe src="javascript:parent.hacked=6">',
  '&lt;b&gt;&#60;script&#62;',
  '```\n</details>\n# Heading\n| a | b |\n@everyone [link](https://example.com/x)',
  'a"]; click n0 "https://example.com/y"; %%{init: {}}%%',
  '\u001b[2J\u001b]0;title\u0007\u0000\u202egnp.exe\u2066',
  '{{constructor.constructor("window.hacked=7")()}} window.hacked=8',
];

/** A plan whose every text is hostile. */
export function hostilePlan(): Plan {
  const texts = HOSTILE.map((text, index) => ({ text, index }));
  const all = HOSTILE.join('\n');
  const state = { chart: all, chartVersion: all, appVersion: all, revision: 1, status: all };
  return plan({
    id: all,
    created: all,
    snapshot: { id: all, location: all, digest: all, cluster: all },
    target: { context: all, server: all, uid: all },
    releases: texts.map(({ text, index }) =>
      plannedRelease({
        name: text,
        namespace: text,
        change: index % 2 === 0 ? 'update' : 'recreate',
        before: state,
        after: { ...state, chart: text },
        values: `@@ -1 +1 @@\n-${text}\n+${text}\n`,
        objects: [plannedObject({ kind: text, apiVersion: text, name: text, change: 'update', diff: `-${text}` })],
        hooks: [text],
        message: all,
      }),
    ),
    edges: texts.map(({ text }, index) => ({
      from: `${text}/${text}`,
      to: `${HOSTILE[(index + 1) % HOSTILE.length]}/${HOSTILE[(index + 1) % HOSTILE.length]}`,
      reason: text,
    })),
    objects: texts.map(({ text }) =>
      plannedObject({
        kind: text,
        apiVersion: text,
        namespace: text,
        name: text,
        change: 'update',
        diff: `@@ -1 +1 @@\n-${all}\n+${text}\n`,
        conflicts: [{ manager: text, fields: [text] }],
        message: all,
      }),
    ),
    kinds: texts.map(({ text }) => plannedKind({ kind: text, apiVersion: text, resource: text, update: 1 })),
    problems: texts.map(({ text }) => ({ kind: 'other', message: `${text}\n${all}`, hint: text })),
    changed: true,
  });
}

/** A plan of so many objects, one in three of them with a diff. */
export function largePlan(objects: number, diff = '@@ -1 +1 @@\n-a: 1\n+a: 2\n'): Plan {
  const changes = ['create', 'update', 'delete'] as const;
  const planned = Array.from({ length: objects }, (_, index) => {
    const change = changes[index % changes.length] ?? 'create';
    const [kind, resource] = index % 2 === 0 ? ['ConfigMap', 'configmaps'] : ['Service', 'services'];
    return {
      resource,
      object: plannedObject({
        kind,
        namespace: `ns-${index % 20}`,
        name: `object-${String(index).padStart(6, '0')}`,
        change,
        ...(change === 'update' ? { diff } : {}),
      }),
    };
  });
  const kinds = ['ConfigMap', 'Service'].map((kind) => {
    const own = planned.filter(({ object }) => object.kind === kind);
    const count = (change: string) => own.filter(({ object }) => object.change === change).length;
    return plannedKind({
      kind,
      resource: own[0]?.resource ?? kind,
      create: count('create'),
      update: count('update'),
      delete: count('delete'),
    });
  });
  return plan({ objects: planned.map(({ object }) => object), kinds, changed: true });
}
