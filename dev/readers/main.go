// Command readers tells what other programs make of objects: kstatus (Flux, Helm 4 and many more), kubectl wait, Helm 3's
// wait, Flux's health check expressions, and Argo CD's health scripts and actions. It runs their own code where that can
// be imported; for Argo CD it runs the scripts in the interpreter that Argo CD has, with the few libraries it opens.
//
// Objects come as JSON lines on standard input, verdicts leave as JSON lines in the same order:
//
//	readers --argocd-cm argocd-cm.yaml --flux kustomization.yaml --crds crds < objects.jsonl
//
// A line may also be {"action": NAME, "parameters": {...}, "object": {...}}: the answer is then what Argo CD would patch.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const longestLine = 4 << 20

// verdict is what one reader makes of an object.
type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// report is what all of them make of it.
type report struct {
	Kstatus     verdict  `json:"kstatus"`     // sigs.k8s.io/cli-utils
	FluxKstatus verdict  `json:"fluxKstatus"` // github.com/fluxcd/cli-utils: Flux without expressions, and Helm 4
	KubectlWait verdict  `json:"kubectlWait"` // --for=condition=Ready, asked once
	Helm3       verdict  `json:"helm3"`       // --wait
	Flux        verdict  `json:"flux"`        // with the expressions given
	Argo        verdict  `json:"argo"`
	Actions     []action `json:"actions"`
	Columns     []column `json:"columns"` // what `kubectl get` shows
}

type line struct {
	Action     string            `json:"action"`
	Parameters map[string]string `json:"parameters"`
	Object     json.RawMessage   `json:"object"`
}

func main() {
	argocd := flag.String("argocd-cm", "", "the argocd-cm ConfigMap with health scripts and actions")
	flux := flag.String("flux", "", "a Flux Kustomization with healthCheckExprs")
	crds := flag.String("crds", "", "the folder of the CustomResourceDefinitions")
	flag.Parse()
	if err := run(*argocd, *flux, *crds); err != nil {
		fmt.Fprintln(os.Stderr, "readers:", err)
		os.Exit(1)
	}
}

// readers is all that is configured.
type readers struct {
	argo *argoCD
	flux fluxChecks
	rows printers
}

func run(argocdPath, fluxPath, crdsPath string) error {
	known := &readers{}
	var err error
	if known.argo, err = readArgo(argocdPath); err != nil {
		return err
	}
	if known.flux, err = readFlux(fluxPath); err != nil {
		return err
	}
	if known.rows, err = readCRDs(crdsPath); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		answer, err := known.answerTo(lines.Bytes())
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (known *readers) answerTo(text []byte) (any, error) {
	asked := line{}
	if err := json.Unmarshal(text, &asked); err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if asked.Object == nil {
		asked.Object = text
	}
	// As clients do: whole numbers become int64, which kstatus insists on.
	if err := object.UnmarshalJSON(asked.Object); err != nil {
		return nil, err
	}
	if asked.Action != "" {
		return known.argo.act(object, asked.Action, asked.Parameters), nil
	}
	return known.readAll(context.Background(), object)
}

func (known *readers) readAll(ctx context.Context, object *unstructured.Unstructured) (*report, error) {
	out := &report{}
	var err error
	if out.Kstatus, err = kstatusOf(object); err != nil {
		return nil, err
	}
	if out.FluxKstatus, err = fluxKstatusOf(object); err != nil {
		return nil, err
	}
	if out.KubectlWait, err = kubectlWait(ctx, object); err != nil {
		return nil, err
	}
	if out.Helm3, err = helm3(ctx, object); err != nil {
		return nil, err
	}
	if out.Flux, err = known.flux.of(ctx, object); err != nil {
		return nil, err
	}
	if out.Argo, err = known.argo.health(object); err != nil {
		return nil, err
	}
	if out.Columns, err = known.rows.of(ctx, object); err != nil {
		return nil, err
	}
	out.Actions, err = known.argo.discover(object)
	return out, err
}
