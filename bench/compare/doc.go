// Command compare measures hypercore beside other systems on one machine.
//
// # Method
//
// A row is one kind of work, such as replicating 8,192 blocks of 64 KiB. Its
// sides are the systems that can do it: hypercore, rivals, and a limit, which
// is the least work that anything of this kind has to do. A run of a side
// happens in fresh processes (this program runs itself again for Go systems,
// node for the npm packages) in an empty directory. A round runs every side of
// the row once; rounds are repeated, and each begins with another side, so that
// a machine that grows slower or faster does so for all alike. Printed are
// medians with least and greatest, and ratios taken within each round.
//
// A transfer goes between two processes over loopback, from data in files at
// the sender (in the page cache: it was written a moment before) to data
// verified and written at the receiver. The clock runs from the dial to the
// last block; opening files before it is not counted, nor is starting a
// process. Then the receiver reads back what it holds and its SHA-256 is
// compared with that of the data set: a run that fails this has no figure. (Of an
// npm package, the first round of each row is read back: it takes minutes.)
// Reading rows compare every block with the data set as they go.
//
// CPU seconds are user plus system time of both processes while the clock ran.
// Peak memory is the high-water mark of the resident set of the whole process
// since its start (VmHWM), mapped files included.
//
// Durability differs between systems and is stated per side: what has happened
// to the bytes when the clock stops.
//
// Where memory has been free for a while in a virtual machine, the host may have
// taken it back, and who writes a file into it pays for each page: more than the
// fastest of the sides need for everything else. On a machine that has been up for a
// while the page cache is full and its pages go round. So it is filled before each
// run of the rows that write or read as fast as memory takes it, which the report
// says, and then what the run reads is read once, because filling may have driven it
// out; --quick leaves it as it is.
//
// # Parts
//
//	main.go    flags            rows.go   the rows, their sides, their goals
//	run.go     rounds           kinds.go  how one run of each kind of row goes
//	child.go   the processes, seen from here
//	role.go    the processes, seen from inside: requests and replies
//	report.go  text and JSON    stats.go  medians and ratios
//	data.go    data sets        proc_*.go figures of a process
//
// and one file per system, each implementing the interface in system.go.
package main
