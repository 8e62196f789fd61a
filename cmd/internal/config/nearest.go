package config

import "strings"

// maxTypos is how many letters a name may differ in and still be taken for the
// one that was meant.
const maxTypos = 3

// Nearest returns the name that the given one may have been meant for: the one
// that it differs least from, letter case and separators apart. ok is false
// where none is close.
func Nearest(given string, names []string) (name string, ok bool) {
	plain := strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(given))
	least := min(maxTypos, len(plain)/2) + 1
	for _, candidate := range names {
		if d := distance(plain, candidate); d < least {
			name, least, ok = candidate, d, true
		}
	}
	return name, ok
}

// distance is the Levenshtein distance of two texts in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to every prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
