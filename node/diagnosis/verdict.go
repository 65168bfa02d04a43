package diagnosis

// State of a step or of the whole.
type State string

// States, from good to bad.
const (
	OK   State = "ok"
	Note State = "note" // it works, within limits that are worth knowing
	Wait State = "wait" // not known yet: a matter of time
	Bad  State = "bad"
)

// Step is one link of the chain.
type Step struct {
	Name  string `json:"name"` // see the package comment
	State State  `json:"state"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to try; empty when there is nothing to be done
}

// Verdict is what the facts come to.
type Verdict struct {
	State State  `json:"state"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"`
	Steps []Step `json:"steps"`
}

// Line is the verdict as one line: what is wrong, and what to try.
func (v Verdict) Line() string {
	if v.Do == "" {
		return v.Text
	}
	return v.Text + "; " + v.Do
}

// Judge walks the chain and says how it stands.
func Judge(f Facts) Verdict {
	v := Verdict{State: OK}
	v.Steps = nodeSteps(f.Node)
	for _, n := range f.Networks {
		v.Steps = append(v.Steps, networkSteps(f, n)...)
	}
	v.Steps = append(v.Steps, lanSteps(f)...)
	head := nodeVerdict(f)
	if f.Feed != nil {
		v.Steps = append(v.Steps, feedSteps(f)...)
		head = feedVerdict(f)
	}
	v.State, v.Text, v.Do = head.State, head.Text, head.Do
	return v
}
