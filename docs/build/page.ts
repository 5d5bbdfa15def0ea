import type { AsyncApi } from './asyncapi.ts';
import type { Schema } from './schemas.ts';

/** The document as a page that needs no script: requests, events and types, each with its fields. */
export function page({ info, operations, components: { messages, schemas } }: AsyncApi): string {
  const received = Object.entries(operations).filter(([, operation]) => isReceived(operation));
  const sent = Object.entries(operations).filter(([, operation]) => !isReceived(operation));
  const requests = received.map(([key]) => {
    const { name, summary, payload } = messages[key] ?? EMPTY;
    const answer = messages[`${key}Acknowledgement`]?.payload.anyOf?.[0]?.properties?.['data'] ?? {};
    return `${heading(name)}<p>${prose(summary)}</p><h4>Payload</h4>${fields(payload)}<h4>Data of the acknowledgement</h4>${fields(answer)}`;
  });
  const events = sent.map(([key]) => {
    const { name, summary, payload } = messages[key] ?? EMPTY;
    return `${heading(name)}<p>${prose(summary)}</p>${fields(payload)}`;
  });
  const types = Object.entries(schemas).map(
    ([name, schema]) => `${heading(name)}<p>${prose(schema.description ?? '')}</p>${fields(schema)}`,
  );
  const links = (names: string[]) =>
    names.map((name) => `<li><a href="#${id(name)}">${escaped(name)}</a></li>`).join('');
  const namesOf = (entries: [string, object][]) => entries.map(([key]) => messages[key]?.name ?? key);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(info.title)} ${escaped(info.version)}: the contract</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs.css">
</head>
<body>
<nav aria-label="Contents">
<h2>Requests</h2><ul>${links(namesOf(received))}</ul>
<h2>Events</h2><ul>${links(namesOf(sent))}</ul>
<h2>Types</h2><ul>${links(Object.keys(schemas))}</ul>
</nav>
<main>
<h1>${escaped(info.title)} ${escaped(info.version)}</h1>
<p>${prose(info.description)}</p>
<p>The same as <a href="asyncapi.json">AsyncAPI 3</a>.</p>
<h2>Requests: client to gateway</h2>
<p>Each is acknowledged with <code>{ok: true, data}</code> or <code>{ok: false, error}</code>, an <a href="#${id('ErrorPayload')}">ErrorPayload</a>.</p>
${requests.map(section).join('\n')}
<h2>Events: gateway to client</h2>
${events.map(section).join('\n')}
<h2>Types</h2>
${types.map(section).join('\n')}
</main>
</body>
</html>
`;
}

const EMPTY = { name: '', summary: '', payload: {} as Schema };

function isReceived(operation: object): boolean {
  return (operation as { action?: string }).action === 'receive';
}

function section(content: string): string {
  return `<section>${content}</section>`;
}

function heading(name: string): string {
  return `<h3 id="${id(name)}">${escaped(name)}</h3>`;
}

/** A table of an object's fields; of anything else its type. */
function fields(schema: Schema): string {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) return `<p>${typeOf(schema)}</p>`;
  const rows = properties.map(([name, field]) => {
    const isNeeded = schema.required?.includes(name) ?? false;
    const told = [limitsOf(field), prose(field.description ?? '')].filter((text) => text !== '').join('; ');
    return `<tr><th scope="row"><code>${escaped(name)}${isNeeded ? '' : '?'}</code></th><td>${typeOf(field)}</td><td>${told}</td></tr>`;
  });
  return `<div class="table"><table><thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col">What it is</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function typeOf(schema: Schema): string {
  const { $ref, anyOf, enum: values, type, items, properties } = schema;
  if ($ref !== undefined) {
    const name = decodeURIComponent($ref.split('/').at(-1) ?? '');
    return `<a href="#${id(name)}">${escaped(name)}</a>`;
  }
  if ('const' in schema) return `<code>${escaped(JSON.stringify(schema.const))}</code>`;
  if (values) return values.map((value) => `<code>${escaped(JSON.stringify(value))}</code>`).join(' | ');
  if (anyOf) return anyOf.map((each) => typeOf(each)).join(' | ');
  if (type === 'array' && items) return `list of ${typeOf(items)}`;
  if (properties) {
    const inner = Object.entries(properties).map(
      ([name, field]) => `${escaped(name)}${schema.required?.includes(name) ? '' : '?'}: ${typeOf(field)}`,
    );
    return `{${inner.join(', ')}}`;
  }
  return escaped(type === undefined ? 'any' : String(type));
}

function limitsOf({ minLength, maxLength, minimum, maximum, pattern }: Schema): string {
  const parts: string[] = [];
  if (minLength !== undefined || maxLength !== undefined)
    parts.push(`${range(minLength, maxLength)} characters`);
  if (minimum !== undefined || maximum !== undefined) parts.push(range(minimum, maximum));
  if (pattern !== undefined) parts.push(`matches <code>${escaped(pattern)}</code>`);
  return parts.join(', ');
}

function range(least = 0, most?: number): string {
  return most === undefined ? `at least ${least}` : `${least} to ${most}`;
}

function id(name: string): string {
  return name.replace(/\W+/g, '-');
}

/** Text with `code` in backticks; links of a docstring are their names. */
function prose(text: string): string {
  return escaped(text)
    .replace(/\{@link (\w+)\}/g, '$1')
    .replace(/`([^`]+)`/g, '<code>$1</code>');
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
