// A certified OpenID Connect provider on loopback, in Google's stead.
//
//   node provider.mjs CLIENT_ID CLIENT_SECRET REDIRECT_URI [PORT]
//
// prints its issuer when it listens, and tells what happens on stderr, a JSON object a line. Anyone may sign in, with any
// password: "ada" is Ada, with the vouched-for address ada@example.com; "ada@corp.example" is that address, of the hosted
// domain (hd) corp.example; an address that begins with "unverified" is one that the provider does not vouch for.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [clientId, clientSecret, redirectUri, port = "0"] = process.argv.slice(2);

const log = (event, details = {}) => process.stderr.write(JSON.stringify({ event, ...details }) + "\n");

function claims(login) {
  const [name, domain] = login.split("@");
  return {
    sub: login,
    name: name[0].toUpperCase() + name.slice(1),
    email: domain ? login : `${login}@example.com`,
    email_verified: !login.startsWith("unverified"),
    ...(domain && { hd: domain }),
  };
}

function configuration() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: "of-this-run" };
  return {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri], client_name: "Portico" }],
    jwks: { keys: [key] },
    cookies: { keys: ["the tests' provider signs its cookies with this"] },
    pkce: { required: () => true },
    conformIdTokenClaims: false, // Google too puts the address into the ID token
    claims: { openid: ["sub", "hd"], email: ["email", "email_verified"], profile: ["name"] },
    findAccount: (context, login) => ({ accountId: login, claims: () => claims(login) }),
    ttl: { Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600, AccessToken: 600 }, // said, or it warns of each
  };
}

// Its own pages ask Google for a font. The tests let no page ask an outside host, this one neither.
async function withoutOutsideFonts(context, next) {
  if (context.path === "/favicon.ico") return void (context.status = 204);
  await next();
  if (typeof context.body === "string") context.body = context.body.replace(/@import url\(https:[^;]*;/, "");
}

function tellEvents(provider) {
  const told = ["authorization.accepted", "authorization.error", "grant.success", "grant.error", "interaction.started",
    "interaction.ended", "jwks.error", "discovery.error", "server_error"];
  for (const event of told) {
    provider.on(event, (context, error) => {
      const said = error instanceof Error ? { error: error.message, detail: error.error_detail ?? error.error_description } : {};
      log(event, { path: context?.path, client: context?.oidc?.client?.clientId, account: context?.oidc?.account?.accountId, ...said });
    });
  }
}

const server = createServer();
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  provider.use(withoutOutsideFonts);
  tellEvents(provider);
  server.on("request", provider.callback());
  process.stdout.write(issuer + "\n");
});
