// Drives yaml-language-server as an editor does, with the schema of chains:
//
//   node schema.mjs SERVER SCHEMA CHAIN...
//
// The chains must be without a mark; then it types faults and asks for words, and
// says what did not come as an integrator would want it.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [program, schema, ...chains] = process.argv.slice(2);
const server = spawn(process.execPath, [program, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const settings = { schemas: { [pathToFileURL(resolve(schema)).href]: "*.yaml" }, validate: true, completion: true, hover: true, schemaStore: { enable: false } };

let bytes = Buffer.alloc(0), calls = 0, files = 0, wrong = 0;
const answers = new Map(), marks = new Map();

function send(message) {
  const text = JSON.stringify({ jsonrpc: "2.0", ...message });
  server.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

function ask(method, params) {
  const id = ++calls;
  return new Promise((done) => { answers.set(id, done); send({ id, method, params }); });
}

function heard(m) {
  if (m.method && m.id !== undefined) {
    const config = m.method === "workspace/configuration";
    send({ id: m.id, result: config ? m.params.items.map((i) => (i.section === "yaml" ? settings : {})) : null });
  } else if (m.method === "textDocument/publishDiagnostics") {
    marks.get(m.params.uri)?.(m.params.diagnostics);
  } else if (answers.has(m.id)) {
    answers.get(m.id)(m.result);
  }
}

server.stdout.on("data", (more) => {
  bytes = Buffer.concat([bytes, more]);
  for (;;) {
    const head = bytes.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(bytes.subarray(0, head))[1]);
    if (bytes.length < head + 4 + length) return;
    const body = bytes.subarray(head + 4, head + 4 + length);
    bytes = bytes.subarray(head + 4 + length);
    heard(JSON.parse(body));
  }
});

// open shows the editor a file and waits for its marks.
async function open(text) {
  const uri = `file:///chains/${++files}.yaml`;
  const marked = new Promise((done) => marks.set(uri, done));
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
  return { uri, marks: (await marked).map((d) => `${d.range.start.line + 1}:${d.range.start.character + 1} ${d.message}`) };
}

function check(what, ok, got) {
  if (ok) return;
  wrong++;
  console.error(`${what}\n  got ${JSON.stringify(got)}`);
}

// words asks what could stand at the | in a text.
async function words(text) {
  const before = text.slice(0, text.indexOf("|"));
  const { uri } = await open(text.replace("|", ""));
  const position = { line: before.split("\n").length - 1, character: before.length - before.lastIndexOf("\n") - 1 };
  const result = await ask("textDocument/completion", { textDocument: { uri }, position });
  return result.items ?? result;
}

await ask("initialize", {
  processId: process.pid, rootUri: null,
  capabilities: { workspace: { configuration: true }, textDocument: { completion: { completionItem: { documentationFormat: ["markdown"] } } } },
});
send({ method: "initialized", params: {} });
send({ method: "workspace/didChangeConfiguration", params: { settings: { yaml: settings } } });

for (const path of chains) {
  const { marks } = await open(readFileSync(path, "utf8"));
  check(`${path} is marked`, marks.length === 0, marks);
}

const head = "chain: a\nsummary: A.\ntrigger: telemetry\nsteps:\n";
for (const [step, want] of [
  ["  - node: save_telemetri\n", "5:11 there is no such node"],
  ["  - node: log\n    with: {mesage: hi, message: hi}\n", "6:12 Property mesage is not allowed"],
  ["  - node: retry_update\n    with: {backoff: 5}\n    to: {exhausted: end}\n", "6:21 want a duration"],
  ["  - node: resolve_package\n    to: {absnt: end, absent: end}\n", "6:10 Property absnt is not allowed"],
  ["  - node: resolve_package\n", '5:5 Missing property "to"'],
]) {
  const { marks } = await open(head + step);
  check(`want the mark ${want} in\n${step}`, marks.some((m) => m.startsWith(want)), marks);
}

for (const [typed, want, help] of [
  [head + "  - node: |\n", "send_chunk", "bytes"],
  [head + "  - node: resolve_package\n    with:\n      |\n", "pin", "download"],
  [head + "  - node: resolve_package\n    to:\n      |\n", "absent", "wired"],
  [head + "  - node: log\n    with:\n      level: |\n", "debug", ""],
  ["chain: a\nsummary: A.\ntrigger: |\n", "chunk_requested", "device"],
  ["chain: a\n|\n", "branches", "Side roads"],
]) {
  const items = await words(typed);
  const found = items.find((i) => i.label === want);
  const doc = found?.documentation?.value ?? found?.documentation ?? "";
  check(`want the word ${want} with help about ${help} in\n${typed}`, found && doc.includes(help), found ?? items.map((i) => i.label));
}

server.kill();
console.log(`${chains.length} chains without a mark, ${files} files opened, ${wrong} wrong`);
process.exit(wrong ? 1 : 0);
