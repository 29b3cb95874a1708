// The lab's second identity provider: oidc-provider with the settings and people that the tests want. It gets its
// settings as one JSON object in its first argument, listens on a free port of 127.0.0.1, prints its address and
// serves until it is ended.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes, timingSafeEqual, createHash } from 'node:crypto';
import Provider from 'oidc-provider';

const { accounts, webSecret, idTokenSeconds } = JSON.parse(process.argv[2]);

const bySubject = (sub) => accounts.find((a) => a.subject === sub);
const digest = (s) => createHash('sha256').update(s).digest();
const signIn = (username, password) =>
  accounts.find((a) => a.username === username && timingSafeEqual(digest(a.password), digest(password)));

function key(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomBytes(8).toString('hex') };
}

const common = {
  redirect_uris: ['http://127.0.0.1/callback'], // native: any port (RFC 8252)
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  id_token_signed_response_alg: 'ES256',
};

const configuration = {
  clients: [
    { ...common, client_id: 'sally-cli', token_endpoint_auth_method: 'none' },
    { ...common, client_id: 'sallyport-web', client_secret: webSecret, token_endpoint_auth_method: 'client_secret_basic' },
  ],
  jwks: { keys: [key('ES256', 'ec', { namedCurve: 'P-256' })] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
  claims: {
    openid: ['sub', 'acr', 'auth_time', 'groups', '_claim_names', '_claim_sources'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  conformIdTokenClaims: false, // claims stand in the ID token
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // As many providers do: without asking the person for consent at each login.
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  ttl: { IdToken: idTokenSeconds, AccessToken: 300, AuthorizationCode: 60, Interaction: 600, Session: 3600, Grant: 86400, RefreshToken: 86400 },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },

  findAccount: (ctx, sub) => {
    const a = bySubject(sub);
    return a && { accountId: sub, claims: async () => ({ sub, preferred_username: a.username, ...a.claims }) };
  },

  // Nobody is asked for consent: both clients are the company's own.
  loadExistingGrant: async (ctx) => {
    const { provider, session, client } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid profile email groups offline_access');
    await grant.save();
    return grant;
  },
};

const page = (sentence) =>
  '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head><body><main><h1>Sign in</h1>' +
  `<p>${sentence}</p><form id="login" method="post">` +
  '<label>Username <input name="username" required></label> <label>Password <input name="password" type="password" required></label> ' +
  '<button type="submit">Sign in</button></form></main></body></html>';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, configuration);

  const show = (res, status, sentence) => {
    res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    res.end(page(sentence));
  };
  const handle = provider.callback();
  server.on('request', async (req, res) => {
    if (!req.url.startsWith('/interaction/')) return handle(req, res);
    try {
      const { uid, prompt } = await provider.interactionDetails(req, res);
      if (req.url !== `/interaction/${uid}`) return show(res, 404, 'This sign-in is over.');
      if (prompt.name === 'consent') { // native clients are asked each time, whatever was granted
        return await provider.interactionFinished(req, res, { consent: {} }, { mergeWithLastSubmission: true });
      }
      if (req.method !== 'POST') return show(res, 200, 'Who are you?');
      let body = '';
      for await (const chunk of req) {
        body += chunk;
        if (body.length > 4096) return show(res, 413, 'Too long.');
      }
      const form = new URLSearchParams(body);
      const account = signIn(form.get('username') ?? '', form.get('password') ?? '');
      if (!account) return show(res, 401, 'Username or password is wrong.');
      return await provider.interactionFinished(req, res, { login: { accountId: account.subject, acr: account.acr } });
    } catch (err) {
      return show(res, 400, 'This sign-in is over.');
    }
  });
  process.stdout.write(`panva at ${provider.issuer}\n`);
});
