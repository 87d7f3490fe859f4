// Command readers tells what other programs make of objects: kstatus (Flux, Helm 4 and many more), kubectl wait, Helm 3's
// wait, Flux's health check expressions, and Argo CD's health scripts and actions. It runs their own code where that can
// be imported; for Argo CD it runs the scripts in the interpreter that Argo CD has, with the few libraries it opens.
//
// Objects come as JSON lines on standard input, verdicts leave as JSON lines in the same order:
//
//	readers --argocd-cm argocd-cm.yaml --flux kustomization.yaml < objects.jsonl
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
}

type line struct {
	Action     string            `json:"action"`
	Parameters map[string]string `json:"parameters"`
	Object     json.RawMessage   `json:"object"`
}

func main() {
	argocd := flag.String("argocd-cm", "", "the argocd-cm ConfigMap with health scripts and actions")
	flux := flag.String("flux", "", "a Flux Kustomization with healthCheckExprs")
	flag.Parse()
	if err := run(*argocd, *flux); err != nil {
		fmt.Fprintln(os.Stderr, "readers:", err)
		os.Exit(1)
	}
}

func run(argocdPath, fluxPath string) error {
	argo, err := readArgo(argocdPath)
	if err != nil {
		return err
	}
	flux, err := readFlux(fluxPath)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		answer, err := answerTo(lines.Bytes(), argo, flux)
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answerTo(text []byte, argo *argoCD, flux fluxChecks) (any, error) {
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
		return argo.act(object, asked.Action, asked.Parameters), nil
	}
	return readAll(context.Background(), object, argo, flux)
}

func readAll(ctx context.Context, object *unstructured.Unstructured, argo *argoCD, flux fluxChecks) (*report, error) {
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
	if out.Flux, err = flux.of(ctx, object); err != nil {
		return nil, err
	}
	if out.Argo, err = argo.health(object); err != nil {
		return nil, err
	}
	out.Actions, err = argo.discover(object)
	return out, err
}
