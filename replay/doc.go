// Package replay is the ring: the newest part of the stream in one bbolt file,
// from which subscriptions read what they have missed and, since live is replay
// that has caught up, everything else.
//
//	r, err := replay.Open("data/ring.db", replay.Options{})
//	r.Append(batch)                      // one commit, trims to the limits
//	page, err := r.Read(after, filter, limits)
//
// A [Ring] implements broker.Log, which says what its methods return. The picture
// of the file and the invariants stand at the top of ring.go. [Check], [Dump] and
// [FileStats] read the file of a ring that no process has open, and change nothing.
//
// What it promises:
//   - A process killed at any moment loses nothing that was appended.
//   - Events are served as they were appended or not at all: every record has a
//     checksum, every file is verified from end to end before it is used.
//   - No damage is fatal. A file that is damaged, foreign or of another format is
//     moved aside, with a warning, and the ring begins empty.
//   - Nothing grows without bound. Events, bytes and age are limited. The file
//     stays below 2 × Options.MaxBytes plus 256 KiB while no batch is larger than
//     an eighth of MaxBytes (measured over 21 turnovers: 0.9 × with empty events,
//     1.1 × with 128 bytes each, at most 1.9 × with sizes mixed). At most three
//     damaged files are kept.
//   - A full disk makes the ring smaller and does not stop it.
//
// What it does not promise:
//   - Durability. The stream is the truth and the ring a copy: what a power cut
//     takes, up to Options.SyncInterval of it, is read from the stream again. The
//     ring may then stand one commit or more before what was served from it.
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
// indexed and open in 0.2 to 0.3 s.
//
// bbolt could save writing its free list in every commit (NoFreelistSync). It
// saves nothing here, since the list of a ring is short, and opening takes twice as
// long. Worse, bbolt then rebuilds the list on Open and when a commit fails, in a
// goroutine of its own, whose panic on a damaged file nobody can recover.
//
// # Concurrency
//
// All methods of a Ring may be called from any number of goroutines; Append and
// Reset are made one at a time. Reads never wait for a write, and no lock that a
// reader takes is held over disk I/O. One process has the file open at a time; to
// another, Open, Check and Dump say ErrLocked after a second.
package replay
