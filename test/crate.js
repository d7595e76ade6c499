// usage: node crate.js RO-CRATE DIR
//
// Has npm's ro-crate, in the directory RO-CRATE, read and validate the crate DIR as it is. Prints
// what is wrong with it, and ends with 1 then.
'use strict';
const fs = require('fs'), path = require('path'), crypto = require('crypto');
const [lib, dir] = process.argv.slice(2);
// The validator would fetch the contexts, and goes on without them.
globalThis.fetch = async () => { throw new Error('there is no network'); };
console.error = () => {};
const { ROCrate, validate, Defaults } = require(lib);

const wrong = [];
const must = (ok, what) => { if (!ok) wrong.push(what); };
const text = fs.readFileSync(path.join(dir, 'ro-crate-metadata.json'), 'utf8');

// Names on disk are percent-encoded in ids.
const files = {};
const encode = (name) => encodeURI(name).replace(/[?#[\]!'()*;,]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
(function list(below) {
  for (const e of fs.readdirSync(path.join(dir, below), { withFileTypes: true })) {
    const name = path.join(below, e.name);
    if (e.isDirectory()) {
      files[encode(name) + '/'] = { exists: true, inCrate: false, isDir: true };
      list(name);
    } else {
      files[encode(name)] = { exists: true, inCrate: false, isDir: false };
    }
  }
})('');

(async () => {
  for (const r of await validate(JSON.parse(text), files)) {
    if (r.status === 'error') wrong.push(`${r.message} ${r.entity || ''}`);
  }
  for (const [name, file] of Object.entries(files)) must(file.inCrate || file.isDir, `${name} is not described`);

  const crate = new ROCrate(JSON.parse(text), { array: true, link: true });
  const newest = new ROCrate({ '@context': Defaults.roCrateContextUrl, '@graph': [] });
  // The terms of https://w3id.org/ro/terms/workflow-run/context, which ro-crate does not know.
  const run = ['ContainerImage', 'containerImage', 'environment', 'registry', 'tag', 'sha256'];
  const known = (term) => run.includes(term) || newest.resolveTerm(term);
  for (const e of crate.entities()) {
    for (const term of [...e['@type'], ...Object.keys(e)]) must(term.startsWith('@') || known(term), `${term} is no term`);
    for (const value of Object.values(e).flat()) {
      if (value && value['@id'] && !/^https?:/.test(value['@id'])) must(crate.getEntity(value['@id']), `${value['@id']} is not there`);
    }
    if (e['@type'].includes('File') && e['@id'] !== 'ro-crate-metadata.json') {
      const data = fs.readFileSync(path.join(dir, decodeURIComponent(e['@id'])));
      must(String(e.contentSize) === String(data.length), `${e['@id']} has another size`);
      must(String(e.sha256) === crypto.createHash('sha256').update(data).digest('hex'), `${e['@id']} has another digest`);
    }
  }
  // What is in the crate is a part of the root; each action is mentioned and has what it needs.
  const parts = new Set();
  (function add(e) {
    for (const part of e.hasPart || []) if (!parts.has(part['@id'])) { parts.add(part['@id']); add(part); }
  })(crate.rootDataset);
  for (const e of crate.entities()) {
    if (['File', 'Dataset'].some((t) => e['@type'].includes(t)) && e['@id'] !== './') must(parts.has(e['@id']), `${e['@id']} is no part`);
    if (!e['@type'].includes('CreateAction')) continue;
    must(crate.rootDataset.mentions.some((m) => m['@id'] === e['@id']), `${e['@id']} is not mentioned`);
    must(e.instrument.every((i) => ['SoftwareApplication', 'ComputationalWorkflow'].some((t) => i['@type'].includes(t))), `${e['@id']} has no instrument`);
    must(e.result && e.endTime && e.name && e.actionStatus, `${e['@id']} has no result, time, name or status`);
  }
  if (wrong.length) {
    console.log([...new Set(wrong)].join('\n'));
    process.exit(1);
  }
})();
