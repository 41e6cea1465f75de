import { describe, expect, test } from 'vitest';
import { ClusterError } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import { readRefusal } from '../../../src/resources/write-refusals.ts';

function refusal(status: number, reason: string, message: string, details = {}): ClusterError {
  const answer = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, reason, details, code: status };
  return new ClusterError(status, reason, `${message} (POST /x in the context "y": ${status} ${reason})`, { answer });
}

describe('what the API server says', () => {
  test.each([
    [
      'later',
      500,
      'InternalError',
      'Internal error occurred: failed calling webhook "w.io": failed to call webhook: Post "https://w.ns.svc:443/?timeout=10s": no endpoints available for service "w"',
    ],
    [
      'later',
      500,
      'InternalError',
      'Internal error occurred: failed calling webhook "w.io": failed to call webhook: Post "https://w.ns.svc:443/?timeout=10s": context deadline exceeded',
    ],
    [
      'later',
      500,
      'InternalError',
      'Internal error occurred: failed calling webhook "w.io": failed to call webhook: Post "https://w.ns.svc:443/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    ],
    [
      'later',
      500,
      'InternalError',
      'conversion webhook for example.com/v1, Kind=Widget failed: Post "https://w.ns.svc:443/convert": dial tcp 10.0.0.1:443: connect: connection refused',
    ],
    [
      'later',
      403,
      'Forbidden',
      'secrets "a" is forbidden: unable to create new content in namespace n because it is being terminated',
    ],
    ['later', 500, 'InternalError', 'Internal error occurred: resource quota evaluation timed out'],
    ['later', 429, 'TooManyRequests', 'too many requests'],
    ['soon', 403, 'Forbidden', 'pods "a" is forbidden: status unknown for quota: q, resources: pods'],
    [
      'soon',
      403,
      'Forbidden',
      'pods "a" is forbidden: error looking up service account n/default: serviceaccount "default" not found',
    ],
    ['soon', 403, 'Forbidden', 'pods "a" is forbidden: no PriorityClass with name urgent was found'],
    ['soon', 404, 'NotFound', '404 page not found'],
    ['soon', 404, 'NotFound', 'the server could not find the requested resource'],
    ['soon', 404, 'NotFound', 'roles.rbac.authorization.k8s.io "r" not found'],
    [
      'soon',
      409,
      'Conflict',
      'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply your changes to the latest version and try again',
    ],
    ['exists', 409, 'AlreadyExists', 'configmaps "a" already exists'],
    ['ending', 409, 'AlreadyExists', 'object is being deleted: namespaces "a" already exists'],
    ['denied', 403, 'Forbidden', 'admission webhook "w.io" denied the request: exceeded quota: of good names'],
    ['denied', 400, '', 'admission webhook "w.io" denied the request without explanation'],
    [
      'denied',
      422,
      'Invalid',
      `pods "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`,
    ],
    ['lost', 500, 'InternalError', 'etcdserver: request timed out'],
    ['lost', 504, 'Timeout', 'Timeout: request did not complete within requested timeout - context deadline exceeded'],
    ['lost', 503, 'ServiceUnavailable', 'the server is currently unable to handle the request'],
    ['closed', 401, 'Unauthorized', 'Unauthorized'],
    ['final', 404, 'NotFound', 'namespaces "n" not found'],
    [
      'final',
      400,
      'BadRequest',
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "spec"',
    ],
    ['final', 403, 'Forbidden', 'pods "a" is forbidden: violates PodSecurity "restricted:latest": privileged'],
    ['final', 422, 'Invalid', 'ConfigMap "A" is invalid: metadata.name: Invalid value: "A"'],
    ['final', 413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728'],
  ])('%s: %i %s %s', (is, status, reason, message) => {
    expect(readRefusal(refusal(status, reason, message)).is).toBe(is);
  });

  test.each([
    [
      'exceeded quota',
      403,
      'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
      /^Raise the quota/,
    ],
    [
      'a node port',
      422,
      'Service "a" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
      /node port/,
    ],
    [
      'a cluster IP',
      422,
      'Service "a" is invalid: spec.clusterIPs: Invalid value: ["10.0.0.9"]: failed to allocate IP 10.0.0.9: provided IP is already allocated',
      /cluster IP/,
    ],
    [
      'an immutable field',
      422,
      'Deployment.apps "a" is invalid: spec.selector: Invalid value: {}: field is immutable',
      /recreate/,
    ],
  ])('%s is final, with what to do', (_, status, message, hint) => {
    expect(readRefusal(refusal(status, 'Invalid', message))).toMatchObject({
      is: 'final',
      hint: expect.stringMatching(hint),
    });
  });

  test('a namespace that ends is known by its cause, whatever the words', () => {
    const details = { causes: [{ reason: 'NamespaceTerminating', message: 'x', field: 'metadata.namespace' }] };
    expect(readRefusal(refusal(403, 'Forbidden', 'other words', details)).is).toBe('later');
  });
});

describe('no answer', () => {
  test.each(['Reset', 'Stalled', 'Unreachable', 'Unknown'])('%s may have been carried out', (reason) => {
    expect(readRefusal(new ClusterError(0, reason, 'x')).is).toBe('lost');
  });

  test('one of a proxy in between, too', () => {
    expect(readRefusal(new ClusterError(200, 'InvalidResponse', 'x')).is).toBe('lost');
  });

  test.each(['Certificate', 'Credentials', 'Closed'])('after %s no other request does better', (reason) => {
    expect(readRefusal(new ClusterError(0, reason, 'x')).is).toBe('closed');
  });

  test('what is no answer at all is final', () => {
    expect(readRefusal(new TransshipError('TIMEOUT', 'x')).is).toBe('final');
  });
});
