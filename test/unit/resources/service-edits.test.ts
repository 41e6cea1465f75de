import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { StripContext } from '../../../src/resources/rules.ts';
import { stripObject } from '../../../src/resources/strip.ts';

const nothing: StripContext = { keepStatus: () => false, hasVolume: () => false };

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const port = { name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 };

function service(metadata: Record<string, unknown>, spec: Record<string, unknown>): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'shop', ...metadata }, spec };
}

const owning = (spec: Record<string, unknown>) => ({
  managedFields: [
    { manager: 'helm', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': { 'f:type': {} } } },
    { manager: 'kubectl-edit', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': spec } },
  ],
});
const applied = (spec: unknown) => ({ annotations: { [LAST_APPLIED]: JSON.stringify({ spec }) } });

describe('a Service', () => {
  it('loses addresses, families and ports that it was given, and keeps its policy', () => {
    const given = service(owning({ 'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {} } } }), {
      type: 'NodePort',
      clusterIP: '10.96.3.7',
      clusterIPs: ['10.96.3.7'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ ...port, nodePort: 31234 }],
    });
    expect(stripObject(given, nothing)).toStrictEqual(
      service({}, { type: 'NodePort', ipFamilyPolicy: 'SingleStack', ports: [port] }),
    );
  });

  it('stays headless', () => {
    const given = service({}, { clusterIP: 'None', clusterIPs: ['None'], ipFamilies: ['IPv4'], ports: [port] });
    expect(stripObject(given, nothing)).toStrictEqual(
      service({}, { clusterIP: 'None', clusterIPs: ['None'], ports: [port] }),
    );
  });

  it('keeps an ExternalName as it is', () => {
    const given = service({}, { type: 'ExternalName', externalName: 'db.example.com' });
    expect(stripObject(given, nothing)).toStrictEqual(
      service({}, { type: 'ExternalName', externalName: 'db.example.com' }),
    );
  });

  it('keeps just those node ports that managed fields say somebody set', () => {
    const given = service(owning({ 'f:ports': { 'k:{"port":53,"protocol":"UDP"}': { 'f:nodePort': {} } } }), {
      type: 'NodePort',
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', nodePort: 30053 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', nodePort: 31999 },
      ],
    });
    expect(stripObject(given, nothing)).toStrictEqual(
      service(
        {},
        {
          type: 'NodePort',
          ports: [
            { name: 'dns', port: 53, protocol: 'UDP', nodePort: 30053 },
            { name: 'dns-tcp', port: 53, protocol: 'TCP' },
          ],
        },
      ),
    );
  });

  it('keeps just those node ports that kubectl apply was given', () => {
    const given = service(
      applied({ ports: [{ port: 80, nodePort: 30080 }, { port: 443 }, { port: 53, nodePort: 0 }] }),
      {
        type: 'NodePort',
        ports: [
          { ...port, nodePort: 30080 },
          { ...port, name: 'https', port: 443, nodePort: 31443 },
          { ...port, name: 'dns', port: 53, protocol: 'UDP', nodePort: 30080 },
        ],
      },
    );
    expect(stripObject(given, nothing)).toStrictEqual(
      service(
        {},
        {
          type: 'NodePort',
          ports: [
            { ...port, nodePort: 30080 },
            { ...port, name: 'https', port: 443 },
            { ...port, name: 'dns', port: 53, protocol: 'UDP' },
          ],
        },
      ),
    );
  });

  it('keeps a node port set later than kubectl apply knows of', () => {
    const given = service(
      {
        ...applied({ ports: [{ port: 80 }] }),
        ...owning({ 'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { 'f:nodePort': {} } } }),
      },
      { type: 'NodePort', ports: [{ ...port, nodePort: 30080 }] },
    );
    expect(stripObject(given, nothing)).toStrictEqual(
      service({}, { type: 'NodePort', ports: [{ ...port, nodePort: 30080 }] }),
    );
  });

  it('takes a last applied configuration that is no JSON for none', () => {
    const given = service(
      { annotations: { [LAST_APPLIED]: '{"spec":{"ports":[{"nodePort":30080' } },
      { ports: [{ ...port, nodePort: 30080 }] },
    );
    expect(stripObject(given, nothing)).toStrictEqual(service({}, { ports: [port] }));
  });

  it('loses the health check port it was given', () => {
    const given = service({}, { externalTrafficPolicy: 'Local', healthCheckNodePort: 31555, ports: [port] });
    expect(stripObject(given, nothing)).toStrictEqual(service({}, { externalTrafficPolicy: 'Local', ports: [port] }));
  });

  it('keeps the health check port that somebody set', () => {
    const given = service(owning({ 'f:healthCheckNodePort': {} }), { healthCheckNodePort: 30555 });
    expect(stripObject(given, nothing)).toStrictEqual(service({}, { healthCheckNodePort: 30555 }));
  });

  it('keeps the health check port that kubectl apply was given', () => {
    const given = service(applied({ healthCheckNodePort: 30555 }), { healthCheckNodePort: 30555 });
    expect(stripObject(given, nothing)).toStrictEqual(service({}, { healthCheckNodePort: 30555 }));
  });

  it('keeps the address families that somebody asked for', () => {
    const given = service(owning({ 'f:ipFamilies': {} }), { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' });
    expect(stripObject(given, nothing)).toStrictEqual(
      service({}, { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' }),
    );
  });

  it('keeps the wish for two address families, and takes those of the target', () => {
    const given = service(owning({ 'f:ipFamilyPolicy': {} }), {
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'PreferDualStack',
    });
    expect(stripObject(given, nothing)).toStrictEqual(service({}, { ipFamilyPolicy: 'PreferDualStack' }));
  });

  it('takes no port or family for asked that kubectl apply left to the server', () => {
    const given = service(applied({ ipFamilies: null, healthCheckNodePort: 0, ports: [{ port: 80, nodePort: 0 }] }), {
      ipFamilies: ['IPv4'],
      healthCheckNodePort: 31555,
      ports: [{ ...port, nodePort: 31080 }],
    });
    expect(stripObject(given, nothing)).toStrictEqual(service({}, { ports: [port] }));
  });
});
