package bench

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// bookmark returns the run whose events are behind an id, and the id, as one text.
func bookmark(run uint64, id string) string { return fmt.Sprintf("%016x@%s", run, id) }

func parseBookmark(s string) (run uint64, id string, err error) {
	hex, id, found := strings.Cut(s, "@")
	if run, err = strconv.ParseUint(hex, 16, 64); err != nil || !found || id == "" {
		return 0, "", errors.New("allowed is what the result of the scenario resume calls so")
	}
	return run, id, nil
}
