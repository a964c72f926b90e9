// A person with a browser: opens an address, signs in under a name, and allows or refuses what is asked for.
//
//   node person.mjs ADDRESS NAME allow|refuse
//
// Prints the last page. Certificates are not looked at: the servers are those of tests.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');
process.on('warning', () => {});

const [address, name, answer] = process.argv.slice(2);
const jars = new Map();

async function ask(url, form) {
  const jar = jars.get(url.origin) ?? jars.set(url.origin, new Map()).get(url.origin);
  const response = await fetch(url, {
    method: form ? 'POST' : 'GET',
    body: form && new URLSearchParams(form),
    redirect: 'manual',
    headers: { cookie: [...jar].map(([key, value]) => `${key}=${value}`).join('; ') },
  });
  for (const cookie of response.headers.getSetCookie()) {
    const [pair] = cookie.split(';');
    const at = pair.indexOf('=');
    const value = pair.slice(at + 1);
    if (value) jar.set(pair.slice(0, at), value);
    else jar.delete(pair.slice(0, at));
  }
  const body = await response.text();
  const location = response.headers.get('location');
  return location ? ask(new URL(location, url)) : { url, body };
}

let page = await ask(new URL(address));
for (let step = 0; step < 12; step += 1) {
  const form = page.body.match(/<form[^>]*action="([^"]*)"/);
  if (!form) break;
  const action = new URL(form[1].replaceAll('&amp;', '&'), page.url);
  const fields = {};
  for (const [input] of page.body.matchAll(/<input[^>]*>/g)) {
    const key = input.match(/name="([^"]*)"/)?.[1];
    const value = input.match(/value="([^"]*)"/)?.[1];
    if (key && value !== undefined) fields[key] = value;
  }
  if (page.body.includes('name="login"')) {
    page = await ask(action, { ...fields, prompt: 'login', login: name, password: 'any' });
  } else if (fields.prompt === 'consent') {
    page = answer === 'refuse' ? await ask(new URL(`${page.url.href}/abort`)) : await ask(action, fields);
  } else if (page.body.includes('op.deviceConfirmForm')) {
    page = await ask(action, { ...fields, [answer === 'refuse' ? 'abort' : 'confirm']: 'yes' });
  } else {
    page = await ask(action, fields);
  }
}
console.log(page.body);
