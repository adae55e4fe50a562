// Drives a vault of the sandbox by Microsoft's client for JavaScript.
// Usage: node azure_face.cjs VAULT AUTHORITY SECRET, with NODE_EXTRA_CA_CERTS.
const dns = require("node:dns");
const https = require("node:https");
const assert = require("node:assert");

// Names below localhost are this machine (RFC 6761), whatever the resolver thinks.
const lookup = dns.lookup;
dns.lookup = (host, ...rest) => lookup(host.endsWith(".localhost") ? "127.0.0.1" : host, ...rest);

const { SecretClient } = require("@azure/keyvault-secrets");
const [vault, authority, secret] = process.argv.slice(2);

const post = (url, body) =>
  new Promise((resolve, reject) => {
    const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body) };
    const request = https.request(url, { method: "POST", headers }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => resolve(JSON.parse(text)));
    });
    request.on("error", reject);
    request.end(body);
  });

const credential = {
  async getToken(scopes, options) {
    const scope = [].concat(scopes).join(" ");
    const form = new URLSearchParams({ client_id: "x", client_secret: secret, grant_type: "client_credentials", scope });
    const told = await post(`${authority}/${options.tenantId}/oauth2/v2.0/token`, form.toString());
    return { token: told.access_token, expiresOnTimestamp: Date.now() + told.expires_in * 1000 };
  },
};

(async () => {
  const client = new SecretClient(vault, credential);
  const made = await client.setSecret("js-one", "first", { contentType: "text/plain", tags: { a: "1" } });
  await client.setSecret("js-one", "second");
  assert.strictEqual((await client.getSecret("js-one")).value, "second");
  assert.strictEqual((await client.getSecret("js-one", { version: made.properties.version })).value, "first");
  await client.updateSecretProperties("js-one", made.properties.version, { enabled: false });
  await assert.rejects(client.getSecret("js-one", { version: made.properties.version }), (error) => error.statusCode === 403);
  for (let number = 0; number < 30; number++) await client.setSecret(`js-page-${number}`, "x");
  let count = 0;
  for await (const _ of client.listPropertiesOfSecrets()) count++;
  assert.ok(count >= 31);
  count = 0;
  for await (const _ of client.listPropertiesOfSecretVersions("js-one")) count++;
  assert.strictEqual(count, 2);
  const blob = await client.backupSecret("js-one");
  await (await client.beginDeleteSecret("js-one")).pollUntilDone();
  await assert.rejects(client.setSecret("js-one", "x"), (error) => error.statusCode === 409);
  await (await client.beginRecoverDeletedSecret("js-one")).pollUntilDone();
  await (await client.beginDeleteSecret("js-one")).pollUntilDone();
  count = 0;
  for await (const _ of client.listDeletedSecrets()) count++;
  assert.ok(count >= 1);
  await client.purgeDeletedSecret("js-one");
  await client.restoreSecretBackup(blob);
  assert.strictEqual((await client.getSecret("js-one")).value, "second");
  console.log("done");
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
