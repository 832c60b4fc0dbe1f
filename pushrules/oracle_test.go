package pushrules_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// The corpus has the answers of one version of Synapse. If CI installs another version with other answers, this test shows them.
func TestQ01_SynapseStillGivesTheAnswersOfTheCorpus(t *testing.T) {
	t.Parallel()
	python := os.Getenv("SYNAPSE_PYTHON")
	if python == "" {
		if os.Getenv("CI_REQUIRE_SYNAPSE") != "" {
			t.Fatal("SYNAPSE_PYTHON is not set")
		}
		t.Skip("SYNAPSE_PYTHON names no python with Synapse")
	}
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/oracle.py")
	var complaints bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data), &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.Bytes())
	}
	var answers []struct {
		Name string
		answer
	}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	cases := corpus(t)
	if len(answers) != len(cases) {
		t.Fatalf("%d answers for %d cases", len(answers), len(cases))
	}
	for i, a := range answers {
		t.Run(a.Name, func(t *testing.T) {
			if a.Name != cases[i].Name {
				t.Fatalf("the case is %q", cases[i].Name)
			}
			equal(t, nil, a.answer, cases[i].Expected)
		})
	}
}
