import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseExactly } from '../../../src/json.ts';
import { loadDiff } from '../../../src/plan/diff.ts';
import { redactPair, redactText } from '../../../src/plan/redact.ts';

const redact = (value: unknown) => redactPair(value, value)[0];
const S = '(sensitive)';
const V = '(sensitive value)';
const D = '(sensitive value, differs)';

describe('markers', () => {
  test('are the same where a secret is the same', () => {
    expect(redactPair({ password: 'a' }, { password: 'a' })).toEqual([{ password: S }, { password: S }]);
  });

  test('tell that a secret differs', () => {
    expect(redactPair({ password: 'a' }, { password: 'b' })).toEqual([{ password: V }, { password: D }]);
  });

  test('stand for a secret that the other side does not have', () => {
    expect(redactPair({}, { password: 'b' })).toEqual([{}, { password: V }]);
    expect(redactPair(undefined, { password: 'b' })).toEqual([undefined, { password: V }]);
  });

  test('tell that secrets have changed places', () => {
    expect(redactPair({ passwords: ['a', 'b'] }, { passwords: ['b', 'a'] })).toEqual([
      { passwords: [V, V] },
      { passwords: [D, D] },
    ]);
  });

  test('follow an item of a list by its name', () => {
    const [a, b] = ['A', 'B'].map((name) => ({ name: `${name}_TOKEN`, value: name }));
    expect(redactPair([a], [b, a])).toEqual([
      [{ name: 'A_TOKEN', value: S }],
      [
        { name: 'B_TOKEN', value: V },
        { name: 'A_TOKEN', value: S },
      ],
    ]);
  });

  test('are not put in place of nothing, switches and names of variables', () => {
    const value = { password: '', token: null, auth: { enabled: true, usePasswordFiles: false }, apiKey: '$(API_KEY)' };
    expect(redact(value)).toEqual(value);
  });
});

describe('Secrets', () => {
  const secret = (data: object) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'key' },
    type: 'Opaque',
    ...data,
  });

  test('show their keys, and no value', () => {
    expect(redact(secret({ data: { name: 'YQ==', enabled: 'dHJ1ZQ==' }, stringData: { host: 'h' } }))).toEqual(
      secret({ data: { name: S, enabled: S }, stringData: { host: S } }),
    );
  });

  test('are hidden in lists of objects and in annotations', () => {
    const text = JSON.stringify(secret({ data: { host: 'cGxhbnRlZA==' } }));
    const [list] = redactPair({ kind: 'List', items: [secret({ data: { a: 'cGxhbnRlZA==' } })] }, undefined);
    expect(list).toMatchObject({ items: [{ data: { a: V } }] });
    expect(JSON.stringify(redact({ metadata: { annotations: { copy: text } } }))).not.toContain('cGxhbnRlZA==');
  });

  test('do not show through the annotation that kubectl leaves', () => {
    const metadata = {
      name: 'a',
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":{}}', b: 'c' },
    };
    expect(redact({ metadata })).toEqual({ metadata: { name: 'a', annotations: { b: 'c' } } });
  });
});

describe('what is no secret', () => {
  test('of a Pod stays readable', () => {
    const pod = {
      kind: 'Pod',
      spec: {
        automountServiceAccountToken: true,
        imagePullSecrets: [{ name: 'registry' }],
        volumes: [
          {
            name: 'tls',
            secret: { secretName: 'tls', optional: true, defaultMode: 420, items: [{ key: 'tls.key', path: 'k' }] },
          },
          {
            name: 't',
            projected: {
              sources: [{ serviceAccountToken: { audience: 'a', expirationSeconds: 3600, path: 'token' } }],
            },
          },
        ],
        containers: [
          {
            name: 'auth',
            image: 'ghcr.io/acme/auth:v2',
            args: ['--token-file', '/var/token', '--password=$(DB_PASSWORD)', '--port', '80'],
            env: [
              { name: 'DB_PASSWORD', valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } },
              { name: 'A', value: 'b' },
            ],
          },
        ],
      },
    };
    expect(redact(pod)).toEqual(pod);
  });

  test('of an Ingress and an ExternalSecret stays readable', () => {
    const value = [
      { metadata: { annotations: { 'nginx.ingress.kubernetes.io/auth-secret': 'basic' } } },
      { spec: { data: [{ secretKey: 'password', remoteRef: { key: 'prod/db', property: 'password' } }] } },
    ];
    expect(redact(value)).toEqual(value);
  });

  test('of a CustomResourceDefinition stays readable, but for defaults of secret fields', () => {
    const crd = (preset: string) => ({
      kind: 'CustomResourceDefinition',
      spec: {
        conversion: { webhook: { clientConfig: { caBundle: 'LS0tLS1CRUdJTg==' } } },
        properties: { password: { type: 'string', description: 'The one to log in with', default: preset } },
      },
    });
    expect(redact(crd('hunter2'))).toEqual(crd(S));
  });

  test('are public certificates and URLs with a port', () => {
    const value = { ca: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n', url: 'http://host:8080/a@b' };
    expect(redact(value)).toEqual(value);
  });
});

describe('texts', () => {
  test.each([
    ['a URL', 'postgres://shop:p@ss:w0rd@db:5432/shop', `postgres://shop:${S}@db:5432/shop`],
    ['a URL without a user', 'redis://:hunter2@cache', `redis://:${S}@cache`],
    ['a flag', '--db-password=hunter2', `--db-password=${S}`],
    ['a command', 'mysql -u root --password hunter2 -h db', `mysql -u root --password ${S} -h db`],
    ['a variable of a shell', 'PGPASSWORD="a b" psql -h db', `PGPASSWORD=${S} psql -h db`],
    ['a property of Java', '-Xmx1g -Dtrust.password=hunter2 Main', `-Xmx1g -Dtrust.password=${S} Main`],
    ['a connection string', 'Server=db;Password=hunter2;Port=1', `Server=db;Password=${S};Port=1`],
    ['XML', '<a><password>hunter2</password></a>', `<a><password>${S}</password></a>`],
    ['a header', 'curl -H "Authorization: Bearer abc.123"', `curl -H "Authorization: ${S}"`],
    ['a header in a list', 'X-Auth: bearer abcdef123=', `X-Auth: ${S}`],
    ['a user of curl', 'curl -u admin:hunter2 http://a', `curl -u admin:${S} http://a`],
    ['JSON', '{"a":1,"apiKey":"x\\"y","n":2}', `{"a":1,"apiKey":${S},"n":2}`],
    [
      'JSON below a secret key',
      '{"credentials":{"u":"v","pin":1234},"v":2}',
      `{"credentials":{"u":${S},"pin":${S}},"v":2}`,
    ],
    ['JSON in JSON', '{"a":"{\\"token\\":\\"x\\",\\"b\\":1}"}', `{"a":"{\\"token\\":${S},\\"b\\":1}"}`],
    [
      'PHP',
      'define(\'DB_PASSWORD\', \'x\'); $c["password"] = "y";',
      `define('DB_PASSWORD', ${S}); $c["password"] = ${S};`,
    ],
    ['TOML', 'a = 1\npassword = """\nx\ny\n"""\nb = 2\n', `a = 1\npassword = ${S}\nb = 2\n`],
    ['nginx', 'proxy_pass http://a:80;\nset x "Basic YWI=";\n', `proxy_pass http://a:80;\nset x "Basic ${S}";\n`],
    ['a JWT', 'a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl b', `a ${S} b`],
    ['an AWS access key', 'id AKIAIOSFODNN7EXAMPLE.', `id ${S}.`],
    ['a GitHub token', 'use ghp_abcdefghijklmnopqrstuvwxyz0123456789', `use ${S}`],
    ['an age key', 'AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQ', S],
    ['a password hash', 'admin:$2y$05$abcdefghijklmnopqrstuv', `admin:${S}`],
  ])('%s', (_name, text, expected) => {
    expect(redact({ text })).toEqual({ text: expected });
  });

  test('private keys, also in the middle and cut off', () => {
    const key = '-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----';
    expect(redact({ a: `before\n${key}\nafter`, b: key.slice(0, 45) })).toEqual({ a: `before\n${S}\nafter`, b: S });
  });

  test('values after flags that stand apart', () => {
    expect(redact({ args: ['--token', 'abc', '--port', '80', '--secret', '--x'] })).toEqual({
      args: ['--token', S, '--port', '80', '--secret', '--x'],
    });
  });

  test('lines of properties, INI and .env', () => {
    const text =
      'db.user=shop\ndb.password = a b, c\n# old_token: x\nexport API_KEY=y\n[db]\nname=z\nredis.password:q\nrequirepass w\n';
    expect(redact({ text })).toEqual({
      text: `db.user=shop\ndb.password = ${S}\n# old_token: ${S}\nexport API_KEY=${S}\n[db]\nname=z\nredis.password:${S}\nrequirepass ${S}\n`,
    });
  });

  test('YAML: blocks, maps and lists below a secret key', () => {
    const text = [
      ...[
        'db:',
        '  password: |',
        '    one',
        '    two',
        '  user: shop',
        '  credentials:',
        '    root: r',
        '    secretName: s',
      ],
      ...[
        '  tokens:',
        '  - a',
        '  - b',
        '  port: 5432',
        'env:',
        '- name: API_KEY',
        '  value: v',
        '- name: A',
        '  value: b',
        '',
      ],
    ];
    expect(redact({ text: text.join('\n') })).toEqual({
      text: [
        ...['db:', '  password: |', `    ${S}`, `    ${S}`, '  user: shop', '  credentials:', `    root: ${S}`],
        ...['    secretName: s', '  tokens:', `  - ${S}`, `  - ${S}`, '  port: 5432', 'env:', '- name: API_KEY'],
        ...[`  value: ${S}`, '- name: A', '  value: b', ''],
      ].join('\n'),
    });
  });

  test('a manifest of a Secret in a file', () => {
    const text = 'kind: Secret\nmetadata:\n  name: key\nstringData:\n  host: planted\n  name: planted\n';
    expect(redact({ text })).toEqual({
      text: `kind: Secret\nmetadata:\n  name: key\nstringData:\n  host: ${S}\n  name: ${S}\n`,
    });
  });

  test("what a server refuses, as Go prints a Pod's variables", () => {
    const refusal =
      'Invalid value: core.EnvVar{Name:"DB_PASSWORD", Value:"hun\\"ter2", ValueFrom:nil}: field is immutable';
    expect(redactText(refusal)).toBe(
      `Invalid value: core.EnvVar{Name:"DB_PASSWORD", Value:${V}, ValueFrom:nil}: field is immutable`,
    );
  });
});

describe('whatever there is', () => {
  test('nothing that JSON can hold makes it throw, and what has no secrets stays', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (before, after) => {
        const copies = [structuredClone(before), structuredClone(after)];
        redactPair(before, after);
        expect([before, after]).toEqual(copies);
      }),
    );
    expect(redact({ a: [1, 'x', null, true, { b: 'y' }] })).toEqual({ a: [1, 'x', null, true, { b: 'y' }] });
  });

  test('large numbers are secrets as any other, or stay exact', () => {
    const [shown] = redactPair(parseExactly('{"pin":{"password":12345678901234567890},"n":12345678901234567890}'), {});
    expect(JSON.stringify(shown)).toBe(`{"pin":{"password":"${V}"},"n":12345678901234567890}`);
  });

  test('nesting without end does not make it throw', () => {
    let deep: unknown = { password: 'planted' };
    for (let level = 0; level < 5000; level += 1) deep = { a: deep };
    expect(JSON.stringify(redactPair(deep, { a: 1 })[1])).not.toContain('planted');
    expect(() => redactPair(deep, deep)).not.toThrow();
  });

  test('a text that is made to take long does not', () => {
    const texts = [
      'a-'.repeat(100_000),
      '://a:'.repeat(20_000),
      'password="'.repeat(20_000),
      `"a":"`.repeat(30_000),
      ' '.repeat(200_000),
    ];
    const start = performance.now();
    redactPair(texts, []);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

/** Ways in which a secret stands in an object; `plain` ones can't hold every character. */
const PLACES: Record<string, (secret: string) => object> = {
  key: (secret) => ({ adminPassword: secret }),
  below: (secret) => ({ auth: { username: { deep: [secret] } } }),
  env: (secret) => ({
    env: [
      { name: 'A', value: 'b' },
      { name: 'API_TOKEN', value: secret },
    ],
  }),
  secret: (secret) => ({ kind: 'Secret', data: { host: secret } }),
  json: (secret) => ({ file: JSON.stringify({ a: 1, nested: { clientSecret: secret } }, undefined, 2) }),
  annotation: (secret) => ({ metadata: { annotations: { note: `{"password":${JSON.stringify(secret)}}` } } }),
  properties: (secret) => ({ file: `a=b\nspring.password=${secret}\nc=d\n` }),
  yaml: (secret) => ({ file: `a: b\npassword: ${JSON.stringify(secret)}\nc: d\n` }),
  block: (secret) => ({ file: `token: |\n  first\n  ${secret}\nc: d\n` }),
  args: (secret) => ({ args: ['run', '--password', secret, '--x'] }),
};
const PLAIN_PLACES: Record<string, (secret: string) => object> = {
  url: (secret) => ({ url: `https://user:${secret}@host/path` }),
  flag: (secret) => ({ args: [`--client-secret=${secret}`] }),
  shell: (secret) => ({ command: ['sh', '-c', `TOKEN=${secret} run --x`] }),
  xml: (secret) => ({ file: `<a>\n<password>${secret}</password>\n</a>\n` }),
  pem: (secret) => ({ file: `x\n-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n` }),
};

const wide = fc.string({ unit: fc.constantFrom(...'abcXYZ019+/=!#%*?.,:;()[]{}@~^_'), minLength: 4, maxLength: 20 });
const narrow = fc.string({ unit: fc.constantFrom(...'abcXYZ019+/=_.'), minLength: 4, maxLength: 20 });
const placed = (places: Record<string, (secret: string) => object>, text: fc.Arbitrary<string>) =>
  fc.record({
    place: fc.constantFrom(...Object.keys(places)).map((name) => places[name] ?? (() => ({}))),
    before: text.map((part) => `Zq${part}qZ`),
    after: text.map((part) => `Zq${part}qZ`),
  });

test('planted secrets never appear in a diff, and it tells whether they differ', async () => {
  const differ = await loadDiff();
  const plants = fc.array(fc.oneof(placed(PLACES, wide), placed(PLAIN_PLACES, narrow)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(plants, fc.boolean(), fc.boolean(), (planted, inList, areSame) => {
      const build = (pick: (one: { before: string; after: string }) => string) => {
        const parts = planted.map((one, index) => ({ name: `part${index}`, ...one.place(pick(one)) }));
        return { spec: inList ? { list: parts } : Object.fromEntries(parts.map((part) => [part.name, part])) };
      };
      const before = build((one) => one.before);
      const after = build((one) => (areSame ? one.before : one.after));
      const shown = [
        differ.objects(before, after),
        differ.values(before, { other: 1 }),
        differ.values(undefined, after),
      ];
      for (const one of planted) {
        for (const secret of [one.before, one.after]) expect(shown.join('\n')).not.toContain(secret);
      }
      const isEqual = areSame || planted.every((one) => one.before === one.after);
      expect(shown[0] === '').toBe(isEqual);
    }),
    { numRuns: 200 },
  );
});
