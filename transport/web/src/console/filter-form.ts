import { byId, find, setText } from "../common/dom.ts";
import { type Filter, parseSubjects, parseTypes } from "./filter.ts";

/** The choices of "Begin" that are sent as they are; an id and a time are typed. */
const PRESETS = new Set(["now", "oldest", "last", "5m", "1h"]);

/** The form over the table. */
export class FilterForm {
	private readonly form = byId("filter", HTMLFormElement);
	private readonly subjects = byId("subjects", HTMLInputElement);
	private readonly types = byId("types", HTMLInputElement);
	private readonly from = byId("from", HTMLSelectElement);
	private readonly position = byId("position", HTMLInputElement);

	/** @param onFollow is told of a filter to follow */
	constructor(onFollow: (filter: Filter) => void) {
		this.form.addEventListener("submit", (event) => {
			event.preventDefault();
			onFollow(this.read());
		});
		this.from.addEventListener("change", () => {
			this.showPosition();
			if (!PRESETS.has(this.from.value)) {
				this.position.focus();
			}
		});
	}

	show({ subjects, types, from }: Filter): void {
		this.subjects.value = subjects.join(" ");
		this.types.value = types.join(", ");
		const typed = !PRESETS.has(from);
		this.from.value = !typed ? from : /^\d+(-\w+)?$/.test(from) ? "id" : "time";
		this.position.value = typed ? from : "";
		this.showPosition();
	}

	/** Marks the fields of which a refusal speaks: it begins with each one's name. */
	showRefusal(why: string): void {
		const wrong = (name: string) => String(why.split("; ").some((w) => w.startsWith(`${name}: `)));
		this.subjects.setAttribute("aria-invalid", wrong("subject"));
		this.types.setAttribute("aria-invalid", wrong("type"));
		this.position.setAttribute("aria-invalid", wrong("from"));
	}

	focus(): void {
		this.subjects.focus();
		this.subjects.select();
	}

	private read(): Filter {
		const preset = PRESETS.has(this.from.value);
		return {
			subjects: parseSubjects(this.subjects.value),
			types: parseTypes(this.types.value),
			from: preset ? this.from.value : this.position.value.trim(),
		};
	}

	private showPosition(): void {
		const field = byId("position-field", HTMLElement);
		field.hidden = PRESETS.has(this.from.value);
		const id = this.from.value === "id";
		setText(find(field, ".label", HTMLElement), id ? "Id" : "Time, or how long ago");
		this.position.placeholder = id ? "1042-dfdrqin2kmbk" : "15m or 2026-01-02T03:04:05Z";
	}
}
