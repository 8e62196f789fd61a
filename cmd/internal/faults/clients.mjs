// The clients of the fault harness that are in Node.js, all in one process:
// @ringcast/client, and the EventSource of two packages, as people use them.
//
//	node clients.mjs FOLDER MODULE
//
// FOLDER has the packages installed, MODULE is @ringcast/client as it was built. Standard input says
// in JSON which clients to open, [{"client":0,"library":"undici","url":"…"},…]; standard output has a line of
// JSON for whatever one of them reports. It ends when its input does.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, module] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/package.json`));
const { createEventStream } = await import(pathToFileURL(module).href);

const GAP = "ringcast.gap";
/** How long to wait before a client that gave up for good is opened anew. */
const REOPEN_MS = 500;

/** How each library is opened: calls report for what happens, and gone once it has given up. */
const LIBRARIES = {
	"@ringcast/client": (url, report, gone) => {
		const stream = createEventStream(url, {
			idleTimeoutMs: 10_000,
			onmessage: ({ type, data, lastEventId }) => report("event", { t: type, d: data, i: lastEventId }),
			ongap: (gap) => report("event", { t: GAP, d: JSON.stringify(gap), i: stream.lastEventId }),
			onretry: ({ error }) => report("retry", { m: error?.message ?? "" }),
		});
		stream.done.then(
			() => gone("ended"),
			(error) => gone(error.message),
		);
	},
	eventsource: (url, report, gone) => listen(new (require("eventsource").EventSource)(url), report, gone),
	undici: (url, report, gone) => listen(new (require("undici").EventSource)(url), report, gone),
};

function listen(source, report, gone) {
	for (const type of ["message", GAP]) {
		source.addEventListener(type, ({ data, lastEventId }) => report("event", { t: type, d: data, i: lastEventId }));
	}
	source.addEventListener("error", ({ message }) => {
		const reason = message ?? "error";
		if (source.readyState === source.CLOSED) {
			gone(reason);
		} else {
			report("retry", { m: reason });
		}
	});
}

function write(line) {
	process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Opens a client, and again after its last event whenever it gives up for good. */
function open({ client, library, url }) {
	let lastId = "";
	const start = () => {
		const from = lastId === "" ? url : `${url}&last_event_id=${lastId}`;
		let over = false;
		const report = (kind, what) => {
			if (what.i) {
				lastId = what.i;
			}
			write({ c: client, k: kind, ...what });
		};
		LIBRARIES[library](from, report, (reason) => {
			if (over) {
				return;
			}
			over = true;
			write({ c: client, k: "gave up", m: reason });
			setTimeout(start, REOPEN_MS);
		});
	};
	start();
}

for await (const line of lines(process.stdin)) {
	for (const client of JSON.parse(line)) {
		open(client);
	}
}
process.exit(0);

/** The lines of a stream, as they come. */
async function* lines(stream) {
	let rest = "";
	for await (const chunk of stream.setEncoding("utf8")) {
		rest += chunk;
		const whole = rest.split("\n");
		rest = whole.pop();
		yield* whole;
	}
}
