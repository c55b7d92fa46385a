// JavaScript's values on a line of JSON, with what JSON has no word for: scalars as they are, the
// rest as [kind, content]. Numbers travel as the text that String(number) gives.

export type Tagged = null | boolean | string | [string, ...unknown[]];

export function toTagged(value: unknown): Tagged {
  switch (typeof value) {
    case "boolean":
    case "string":
      return value;
    case "undefined":
      return ["undefined"];
    case "number":
      return ["number", String(value)];
    case "bigint":
      return ["bigint", String(value)];
  }
  if (value === null) return null;
  if (Array.isArray(value)) return ["list", value.map(toTagged)];
  if (value instanceof Set) return ["set", [...value].map(toTagged)];
  if (value instanceof Uint8Array) return ["bytes", Buffer.from(value).toString("base64")];
  if (typeof value === "object") {
    return ["map", Object.entries(value).map(([name, inner]) => [name, toTagged(inner)])];
  }
  throw new TypeError(`a ${typeof value} does not travel`);
}

export function fromTagged(tagged: Tagged): unknown {
  if (!Array.isArray(tagged)) return tagged;
  const [kind, content] = tagged;
  switch (kind) {
    case "undefined":
      return undefined;
    case "number":
      return Number(content);
    case "bigint":
      return BigInt(content as string);
    case "list":
      return (content as Tagged[]).map(fromTagged);
    case "set":
      return new Set((content as Tagged[]).map(fromTagged));
    case "bytes":
      return new Uint8Array(Buffer.from(content as string, "base64"));
    case "map":
      return Object.fromEntries(
        (content as [string, Tagged][]).map(([name, inner]) => [name, fromTagged(inner)]),
      );
  }
  throw new TypeError(`no value is called ${kind}`);
}
