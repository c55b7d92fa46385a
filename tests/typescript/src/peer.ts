// The web application for the tests: reads a call a line, {"at": {...}, "call": "...", "args": [...]},
// and answers each with a line, {"ok": ...} or {"error": {"name": "...", "message": "..."}}.

import { createInterface } from "node:readline";
import { inspect } from "node:util";
import { type AttributeValue } from "@aws-sdk/client-dynamodb";
import { marshall, unmarshall } from "@aws-sdk/util-dynamodb";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { dataStore, type DataStore, type Settings } from "./data-store.js";
import { fromTagged, toTagged, type Tagged } from "./values.js";

type Item = Record<string, AttributeValue>;
type Json = Record<string, unknown>;

const stores = new Map<string, DataStore>();

function storeAt(settings: Settings): DataStore {
  const name = JSON.stringify(settings);
  const store = stores.get(name) ?? dataStore(settings);
  stores.set(name, store);
  return store;
}

/** DynamoDB's JSON has base64 text where the SDK has bytes. */
function withBytes(value: Json): AttributeValue {
  const [[tag, content]] = Object.entries(value) as [[string, unknown]];
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
  const converted =
    tag === "B" ? bytes(content as string)
    : tag === "BS" ? (content as string[]).map(bytes)
    : tag === "L" ? (content as Json[]).map(withBytes)
    : tag === "M" ? itemWithBytes(content as Record<string, Json>)
    : content;
  return { [tag]: converted } as unknown as AttributeValue;
}

function itemWithBytes(item: Record<string, Json>): Item {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, withBytes(value)]));
}

/** The reverse, for what `marshall` made. */
function withText(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(withText);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withText(inner)]));
}

/** What a page of the web application does: read, change what it knows, write all of it back. */
async function readModifyWrite(
  store: DataStore,
  userId: string,
  dataType: string,
  recordId: string,
  edits: object,
): Promise<void> {
  const record = await store.getUserData(userId, dataType, recordId);
  if (record === null) throw new Error("nothing is stored under that key");
  await store.updateUserData(userId, dataType, recordId, { ...record.data, ...edits });
}

function validate(schema: Json, reference: string, instances: unknown[]): unknown[] {
  const ajv = new Ajv2020({ allErrors: true, strict: true, strictRequired: false });
  formats.default(ajv);
  ajv.addSchema(schema, "schema");
  const check = ajv.compile({ $ref: `schema${reference}` });
  return instances.map((instance) =>
    check(instance) ? [] : check.errors!.map(({ instancePath, keyword }) => [instancePath, keyword]),
  );
}

// Calls about values alone, whose arguments and results are plain JSON.
const plain: Record<string, (...args: any[]) => unknown> = {
  /** Each text through Number, and back as JavaScript prints it. */
  numbers: (texts: string[]) => texts.map((text) => String(Number(text))),
  isoStrings: (moments: number[]) => moments.map((moment) => new Date(moment).toISOString()),
  sorted: (texts: string[]) => [...texts].sort(),
  /** What the document client makes of an item, as JavaScript shows it; undefined if refused. */
  shown: (item) =>
    inspect(unmarshall(itemWithBytes(item)), { depth: null, sorted: true, breakLength: 80 }),
  again: (item) =>
    withText(marshall(unmarshall(itemWithBytes(item)), { removeUndefinedValues: true })),
  validate,
  /** The guards of a generated module that say yes, for each record. */
  guards: async (module: string, records: object[]) => {
    const guards = Object.entries<(record: object) => boolean>(await import(module)).filter(
      ([name]) => name.startsWith("is"),
    );
    return records.map((record) => guards.filter(([, is]) => is(record)).map(([name]) => name));
  },
};

// Calls about values that JSON has no word for: arguments and results are tagged.
const tagged: Record<string, (store: DataStore, ...args: any[]) => Promise<unknown>> = {
  saveUserData: (store, ...args) => store.saveUserData(...(args as [string, string, object])),
  getUserData: (store, ...args) => store.getUserData(...(args as [string, string, string])),
  listUserData: (store, ...args) => store.listUserData(...(args as [string, string])),
  listAllUserData: (store, ...args) => store.listAllUserData(...(args as [string])),
  updateUserData: (store, ...args) =>
    store.updateUserData(...(args as [string, string, string, object])),
  deleteUserData: (store, ...args) => store.deleteUserData(...(args as [string, string, string])),
  readModifyWrite: (store, ...args) =>
    readModifyWrite(store, ...(args as [string, string, string, object])),
  stringify: async (store, ...args) =>
    JSON.stringify(await store.getUserData(...(args as [string, string, string]))),
};

interface Call {
  at: Settings;
  call: string;
  args: Tagged[];
}

async function answer({ at, call, args }: Call): Promise<unknown> {
  const onValues = plain[call];
  if (onValues) return onValues(...args);
  const onTable = tagged[call];
  if (onTable) return toTagged(await onTable(storeAt(at), ...args.map(fromTagged)));
  throw new Error(`no call is called ${call}`);
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: object;
  try {
    reply = { ok: (await answer(JSON.parse(line) as Call)) ?? null };
  } catch (error) {
    const { name, message } = error as Error;
    reply = { error: { name, message } };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
for (const store of stores.values()) store.close();
