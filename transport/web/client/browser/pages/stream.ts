import { record } from "./told.ts";

window.openStream = (url, plan) => {
	window.told = record(url, plan);
};
