// Evaluates kits for pipex: each line of stdin asks for one, each line on descriptor 3
// answers, or asks pipex for another kit. All of it is synchronous, so that a kit may call
// the resolve of a built-in kit without awaiting it.
import {readSync, writeSync} from 'node:fs'
import {spawnSync} from 'node:child_process'
import {createRequire} from 'node:module'
import {dirname, join} from 'node:path'
import {fileURLToPath, pathToFileURL} from 'node:url'

const chunk = Buffer.alloc(65536)
let read = ''
function receive() {
  while (!read.includes('\n')) {
    const n = readSync(0, chunk)
    if (n === 0) process.exit()
    read += chunk.toString('latin1', 0, n)
  }
  const end = read.indexOf('\n')
  const line = Buffer.from(read.slice(0, end), 'latin1').toString()
  read = read.slice(end + 1)
  return JSON.parse(line)
}

const send = message => {
  const line = Buffer.from(JSON.stringify(message) + '\n')
  for (let at = 0; at < line.length;) at += writeSync(3, line, at)
}

function ask(question) {
  send(question)
  const answer = receive()
  if (answer.error) throw new Error(answer.error)
  return answer
}

function locate({file, module}) {
  if (file) return pathToFileURL(file).href
  if (import.meta.resolve && process.versions.node.split('.')[0] >= 20) return import.meta.resolve(module)
  return pathToFileURL(createRequire(join(process.cwd(), 'package.json')).resolve(module)).href
}

async function load(kit) {
  if (kit.builtin) return {name: kit.name, resolve: params => ask({builtin: kit.name, with: params ?? {}}).output}
  const url = locate(kit)
  let resolve
  try {
    resolve = (await import(url)).default
  } catch (error) {
    if (error instanceof SyntaxError) error.kit = fileURLToPath(url)
    throw error
  }
  if (typeof resolve !== 'function') throw new Error(`it must export a default function, and that is ${typeof resolve}`)
  const kitDir = dirname(fileURLToPath(url))
  const context = {kitDir, resolveKit: async name => load(ask({resolve: name}).kit)}
  return {name: kit.name, kitDir, resolve: async (params, given) => resolve(params ?? {}, given ?? context)}
}

// describe is an error with the line of the kit that it comes from.
function describe(error) {
  if (!(error instanceof Error)) return String(error)
  let from = error.stack ?? ''
  if (error instanceof SyntaxError && error.kit) {
    // Only node itself tells the line, and only to people.
    from = spawnSync(process.execPath, ['--check', error.kit], {encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'], timeout: 5000}).stderr ?? ''
  }
  const found = /^(?:.*\()?(?:at )?((?:file:\/\/)?\/[^\s()[\]]+?):(\d+)(?::\d+)?\)?$/m.exec(from.replaceAll(/^ +/gm, ''))
  const place = found ? `${found[1].startsWith('file:') ? fileURLToPath(found[1]) : found[1]}:${found[2]}: ` : ''
  return place + error.message.replace(/( imported from |\n).*$/s, '')
}

for (;;) {
  const {kit, with: params} = receive()
  let answer
  try {
    const {resolve, kitDir} = await load(kit)
    const output = await resolve(params)
    answer = JSON.stringify(output) === undefined ? {error: `it returned ${typeof output}, and no object`} : {output, kitDir}
    JSON.stringify(answer)
  } catch (error) {
    answer = {error: describe(error)}
  }
  send(answer)
}
