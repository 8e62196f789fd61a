//go:build !linux

package bench

import (
	"context"
	"errors"
)

// Run fails: it needs epoll and /proc, which only Linux has.
func Run(context.Context, Options) (*Result, error) {
	return nil, errors.New("the benchmark runs on Linux only: it needs epoll and /proc")
}
