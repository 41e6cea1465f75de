import { describe, expect, test } from 'vitest';
import { isHarmlessKey, isSecretKey } from '../../../src/plan/secret-keys.ts';

describe('keys whose values are secret', () => {
  test.each([
    ...[
      'password',
      'DB_PASSWORD',
      'dbPassword2',
      'PGPASSWORD',
      'rootpassword',
      'passwd',
      'MYSQL_PWD',
      'SMTP_PASS',
      'rootpw',
    ],
    ...[
      'secret',
      'clientSecret',
      'secrets',
      'AUTH_TOKEN',
      'accesstoken',
      'tokens',
      'apiKey',
      'api_key',
      'api-key',
      'API-KEYS',
    ],
    ...[
      'apikey',
      'accessKey',
      'accessKeyId',
      'AWS_SECRET_ACCESS_KEY',
      'privateKey',
      'encryptionKey',
      'tls.key',
      'server.key',
    ],
    ...[
      'id_rsa',
      'ssh.id_ed25519',
      'credentials',
      'registryCredentials',
      'connectionString',
      'SENTRY_DSN',
      'auth',
      'basicAuth',
    ],
    ...['salt', 'passphrase', 'htpasswd', '.dockerconfigjson', 'client-key-data', 'Authorization', 'requirepass'],
  ])('%s is one', (key) => {
    expect(isSecretKey(key)).toBe(true);
  });

  test.each([
    ...[
      'secretName',
      'secretRef',
      'secretKeyRef',
      'imagePullSecrets',
      'pullSecrets',
      'existingSecret',
      'existingSecretName',
    ],
    ...['automountServiceAccountToken', 'tokenExpirationSeconds', 'token-ttl', 'passwordPolicy', 'privateKeySecretRef'],
    ...['secretClassName', 'nodePublishSecretRef', 'tls-private-key-file', 'auth-realm', 'auth-url', 'envFromSecret'],
    ...['author', 'key', 'publicKey', 'keyboard', 'compass', 'caBundle', 'tls.crt', 'monkey', 'name', 'replicas', ''],
  ])('%s is none', (key) => {
    expect(isSecretKey(key)).toBe(false);
  });

  test('what only describes a secret may be seen within one', () => {
    expect(['secretName', 'enabled', 'size'].every(isHarmlessKey)).toBe(true);
    expect(['username', 'value', 'root'].some(isHarmlessKey)).toBe(false);
  });
});
