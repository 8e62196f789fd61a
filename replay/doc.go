// Package replay is the log on disk.
package replay
