// Package replay is the ring: the newest part of the stream in one bbolt file,
// from which subscriptions read what they have missed and, since live is replay
// that has caught up, everything else.
//
//	r, err := replay.Open("data/ring.db", replay.Options{})
//	r.Append(batch)                      // to be read at once, in the file soon after
//	page, err := r.Read(after, filter, limits)
//
// A [Ring] implements broker.Log, which says what its methods return. The picture
// of the file and the invariants stand at the top of ring.go. [Check], [Dump] and
// [FileStats] read the file of a ring that no process has open, and change nothing.
//
// What it promises:
//   - What was appended is read at once. It is in memory until the next commit,
//     Options.WriteInterval later at most, or earlier where there is much of it.
//     Readers see no seam between memory and file.
//   - Events are served as they were appended or not at all: every record has a
//     checksum, every file is verified from end to end before it is used.
//   - No damage is fatal. A file that is damaged, foreign or of another format is
//     moved aside, with a warning, and the ring begins empty.
//   - Nothing grows without bound. Events, bytes and age are limited, at every
//     commit; in between a ring exceeds its limits by what is pending, which is an
//     eighth of them at most, 8,192 events, 4 MiB, or one batch. The file stays below 2 × Options.MaxBytes plus 256 KiB while no batch is larger than
//     an eighth of MaxBytes (measured over 21 turnovers: 0.9 × with empty events,
//     1.1 × with 128 bytes each, at most 1.9 × with sizes mixed). At most three
//     damaged files are kept.
//   - A full disk makes the ring smaller and does not stop it. While the disk fails
//     in another way, the ring holds what is pending and then refuses more.
//
// What it does not promise:
//   - Durability. The stream is the truth and the ring a copy: what a killed process
//     takes, up to Options.WriteInterval of it, or a power cut, up to
//     Options.SyncInterval, is read from the stream again. The ring may then stand
//     one commit or more before what was served from it.
//   - That a file survives being changed under a process that has it open. Flipped
//     bytes are noticed when they are read, and so is a file cut short, as a rule:
//     where bbolt itself comes upon the missing pages, as in a file cut down to
//     nothing, the process ends with SIGBUS and finds the damage when it restarts.
//   - That the file shrinks. Its space is used again.
//
// # Memory
//
// Besides the page cache there is the index: for each subject its sequences, 8
// bytes each and at most about three times that before they are compacted, and
// some 120 bytes for the subject itself. Measured with a million events after three
// turnovers: 8.4 MiB on a thousand subjects, 123 MiB where every event has a subject
// of its own. Subjects are forgotten with their last event.
//
// # Speed
//
// Measured on two cores with events of 128 bytes: 0.9 million events a second
// appended in batches of 1,000, 0.6 million when as many are evicted; 3.9 million a
// second read by scan, 2.3 million by index; a ring of a million events is verified,
// indexed and open in 0.2 to 0.3 s, in 0.5 s where every event has a subject of its
// own. More than half of that is the index. The first client that resumes after it, on one
// subject of a thousand, waits 4 ms for its 512 events: each is on a page that is
// new to the process.
//
// Events that come one by one cost 45 µs of processor time each where every one is
// a commit, 3.5 µs in commits of 20, and 2.5 µs in commits of 1,000 (in a ring that
// turns over): hence the write interval. At 50 ms what a commit costs whatever its
// size is a thousandth of one core, however the events come.
//
// bbolt could save writing its free list in every commit (NoFreelistSync). It
// saves nothing here, since the list of a ring is short, and opening takes twice as
// long. Worse, bbolt then rebuilds the list on Open and when a commit fails, in a
// goroutine of its own, whose panic on a damaged file nobody can recover.
//
// # Concurrency
//
// All methods of a Ring may be called from any number of goroutines; Append and
// Reset are made one at a time. Commits are made by a goroutine of the ring's own,
// and by Append where it does not keep up. Reads never wait for a write, and no lock
// that a reader takes is held over disk I/O. One process has the file open at a time; to
// another, Open, Check and Dump say ErrLocked after a second.
package replay
