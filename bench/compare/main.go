package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const usageText = `Usage: go run ./compare [flags]

Measures hypercore beside other systems on this machine and prints, per row,
medians with least and greatest and the ratios of systems run by run.
Progress goes to stderr, the report to stdout.

  --rounds N    how often each row runs (default 5; 3 with --check, 2 with --quick)
  --quick       smaller data sets, rows that need minutes left out; under two minutes
  --only LIST   rows and systems to run, comma separated (see --list)
  --list        print rows, systems, durability and goals, and run nothing
  --json        print the report as JSON
  --check       measure only what has a goal beside a limit, quickly, and exit with
                3 if in a row no pair reaches two thirds of the goal; each such row
                is measured twice before that is said
  --set S.K=V   give system S the option K=V, to try it in another configuration;
                may be repeated
  --dir DIR     work directory; kept, so that a second run need not prepare again
                (default: a temporary one, removed at the end)
  --full-cache  fill the page cache before each run of every row, as it is on a machine
                that has been up for a while: where fresh memory has to be fetched from
                a hypervisor, runs differ by a factor of two without it. Rows that write
                or read as fast as memory takes it do this in any case, but with --quick
  --profile DIR write a CPU profile of each Go process while its clock runs (the last round's)

The npm rows need Node 20 and ` + "`npm ci --ignore-scripts`" + ` in js/; without them they
are shown as not run. Exit codes: 0 done, 1 a side failed, 2 usage, 3 too slow.
`

func main() { os.Exit(run()) }

func run() int {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usageText) }
	var (
		role   = fs.String("role", "", "")
		rounds = fs.Int("rounds", 0, "")
		quick  = fs.Bool("quick", false, "")
		only   = fs.String("only", "", "")
		list   = fs.Bool("list", false, "")
		asJSON = fs.Bool("json", false, "")
		check  = fs.Bool("check", false, "")
		dir    = fs.String("dir", "", "")
		prof   = fs.String("profile", "", "")
		full   = fs.Bool("full-cache", false, "")
	)
	set := settings{}
	fs.Var(set, "set", "")
	if err := fs.Parse(os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil || fs.NArg() > 0 || *rounds < 0 {
		if err == nil {
			fmt.Fprint(os.Stderr, usageText)
		}
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *role != "" {
		signal.Ignore(os.Interrupt) // the parent ends us by closing our input
		if err := serveRole(context.Background(), *role, *prof, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	rows := table()
	set.apply(rows)
	filter, err := parseFilter(*only, rows)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 2
	}
	if *list {
		printList(os.Stdout, rows)
		return 0
	}
	e := &env{quick: *quick || *check, rounds: *rounds, only: filter, log: os.Stderr, profiles: *prof}
	if e.rounds == 0 {
		switch e.rounds = 5; {
		case *check:
			e.rounds = 3
		case e.quick: // smaller data sets instead would flatter us: npm is slow until it is warm
			e.rounds = 2
		}
	}
	if *prof != "" {
		if err := os.MkdirAll(*prof, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			return 1
		}
	}
	remove, err := e.locate(*dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 1
	}
	defer remove()
	e.fillAll = *full
	if e.fillAll || !e.quick {
		if e.ballast, err = newBallast(e.dir); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			if e.fillAll {
				return 1
			}
		}
	}

	if *check {
		rep, code := e.check(ctx, rows)
		if err := rep.print(*asJSON); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
			return 1
		}
		return code
	}
	rep := &report{Machine: describeMachine(e), Rounds: e.rounds, Quick: e.quick}
	for i := range rows {
		rw := &rows[i]
		if !filter.row(rw.name) || e.quick && rw.long && !filter.rows[rw.name] {
			continue
		}
		rep.add(e.runRow(ctx, rw))
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "compare: interrupted")
			return 1
		}
	}
	if err := rep.print(*asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 1
	}
	return rep.exitCode()
}

// locate finds this program, the module it is part of and a work directory.
func (e *env) locate(dir string) (remove func(), err error) {
	if e.self, err = os.Executable(); err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if mod := strings.TrimSpace(string(out)); err == nil && filepath.Base(filepath.Dir(mod)) == "bench" {
		e.module = filepath.Dir(mod)
	} else if e.module, err = os.Getwd(); err != nil {
		return nil, err
	}
	e.js = filepath.Join(e.module, "js")
	if dir != "" {
		if e.dir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
		return func() {}, os.MkdirAll(e.dir, 0o755)
	}
	e.dir, err = os.MkdirTemp("", "hypercore-bench-")
	return func() { os.RemoveAll(e.dir) }, err
}

// settings are options by system: the --set flag.
type settings map[string]map[string]string

func (s settings) String() string { return "" }

func (s settings) Set(v string) error {
	name, option, ok := strings.Cut(v, ".")
	key, value, ok2 := strings.Cut(option, "=")
	if !ok || !ok2 {
		return errors.New("want SYSTEM.KEY=VALUE")
	}
	if s[name] == nil {
		s[name] = map[string]string{}
	}
	s[name][key] = value
	return nil
}

// apply adds the options to each side of the systems they are for.
func (s settings) apply(rows []row) {
	for i := range rows {
		for j := range rows[i].sides {
			if side := &rows[i].sides[j]; s[side.system] != nil {
				o := maps.Clone(s[side.system])
				maps.Copy(o, side.options)
				side.options = o
			}
		}
	}
}
