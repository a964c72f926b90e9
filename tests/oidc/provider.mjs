// A certified OpenID Connect provider for tests, and the trouble that providers make.
//
//   node provider.mjs '{"port": 0, "key": "key.pem", "cert": "cert.pem", "tenant": false}'
//
// Prints its port when it listens; ends with its standard input. Any name signs in with any password; what the provider
// says of people is in PEOPLE. Requests below /test/ steer it.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { SignJWT, importJWK } from 'jose';
import { Provider } from 'oidc-provider';

const options = JSON.parse(process.argv[2] ?? '{}');
const AUDIENCE = 'https://orchestrator.example';

const PEOPLE = {
  dana: { email: 'dana@example.com', email_verified: true, groups: ['dba', 'staff'] },
  paul: { email: 'paul@example.com', email_verified: true, groups: ['staff'] },
  mary: { email: 'mary@example.com', email_verified: false, groups: ['dba'] },
};
const claimsOf = (id) => ({ sub: id, ...(PEOPLE[id] ?? { email: `${id}@example.org`, email_verified: true }) });

let key;
let handle;
let mode = 'ok';
let slowDowns = 0;
let asked = {};

const client = (client_id, more = {}) => ({
  client_id,
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
  response_types: ['code'],
  redirect_uris: ['http://localhost:8000/callback', 'http://127.0.0.1/callback'],
  ...more,
});

// A new signing key; everything else stays, as when a provider replaces its key.
function rotate(issuer) {
  const id = randomUUID();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  key = { ...privateKey.export({ format: 'jwk' }), kid: id, alg: 'ES256', use: 'sig' };
  const provider = new Provider(issuer, {
    // `ours` and `theirs` get JWT access tokens for an audience, `plain` opaque ones.
    clients: [client('ours'), client('theirs'), client('plain'), client('codes', { grant_types: ['authorization_code'] })],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256', 'RS256'] },
    jwks: { keys: [key] },
    cookies: { keys: ['only for tests'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false,
    findAccount: (ctx, id) => ({ accountId: id, claims: () => claimsOf(id) }),
    extraTokenClaims: (ctx, token) => {
      const { sub, ...claims } = claimsOf(token.accountId);
      return claims;
    },
    features: {
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, client) => (!options.tenant && ['ours', 'theirs', 'codes'].includes(client.clientId) ? AUDIENCE : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, audience) => ({
          scope: '', audience, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    // The paths of tenants of a large provider, where the add-on of projects looks.
    ...(options.tenant && {
      routes: { device_authorization: '/v1/device/authorize', token: '/v1/token', userinfo: '/v1/userinfo' },
    }),
    ttl: { DeviceCode: options.deviceCodeTtl ?? 600, Session: 600, Grant: 600, Interaction: 600, IdToken: 600, AccessToken: 600 },
  });
  provider.use(async (ctx, next) => {
    await next();
    // The smallest pause, so that tests are quick.
    if (ctx.body?.device_code) ctx.body.interval = 1;
  });
  handle = provider.callback();
}

async function steer(request, response, url) {
  const done = (body = {}) => response.end(JSON.stringify(body));
  switch (url.pathname) {
    case '/test/mode':
      mode = url.searchParams.get('is');
      slowDowns = Number(url.searchParams.get('times') ?? 1);
      return done();
    case '/test/rotate':
      rotate(issuerOf());
      return done();
    case '/test/asked':
      return done(asked);
    case '/test/sign': {
      // A token with the provider's own key that says whatever a test wants.
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { head, claims } = JSON.parse(Buffer.concat(chunks));
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: key.kid, typ: 'at+jwt', ...head })
        .sign(await importJWK(key, 'ES256'));
      return done({ token });
    }
    default:
      response.statusCode = 404;
      return done();
  }
}

function serve(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname.startsWith('/test/')) return steer(request, response, url);
  asked[url.pathname] = (asked[url.pathname] ?? 0) + 1;
  const isToken = url.pathname.endsWith('/token');
  switch (mode) {
    case 'broken':
      response.statusCode = 503;
      return response.end('out of order');
    case 'rubbish':
      return response.end('<html>what?</html>');
    case 'silent':
      return undefined;
    case 'huge': {
      const chunk = Buffer.alloc(1024 * 1024, ' ');
      let left = 100;
      const more = () => {
        while (left-- > 0) if (!response.write(chunk)) return response.once('drain', more);
        return response.end();
      };
      return more();
    }
    case 'slow_down':
      if (isToken && slowDowns-- > 0) {
        response.statusCode = 400;
        response.setHeader('content-type', 'application/json');
        return response.end('{"error":"slow_down"}');
      }
      return handle(request, response);
    default:
      return handle(request, response);
  }
}

const server = options.key
  ? https.createServer({ key: readFileSync(options.key), cert: readFileSync(options.cert) }, serve)
  : http.createServer(serve);
const issuerOf = () => `${options.key ? 'https' : 'http'}://localhost:${server.address().port}`;
server.listen(options.port ?? 0, '127.0.0.1', () => {
  rotate(issuerOf());
  console.log(server.address().port);
});
// Nobody reads what else is said.
process.stdout.on('error', () => {});
process.stdin.on('end', () => process.exit(0)).resume();
