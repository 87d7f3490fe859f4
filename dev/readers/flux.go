package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// fluxChecks holds an evaluator for each kind that has expressions.
type fluxChecks map[string]*cel.StatusEvaluator

func readFlux(path string) (fluxChecks, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	checks := fluxChecks{}
	for _, document := range strings.Split(string(text), "\n---\n") {
		kustomization := struct {
			Spec struct {
				HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
			} `json:"spec"`
		}{}
		if err := yaml.Unmarshal([]byte(document), &kustomization); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, check := range kustomization.Spec.HealthCheckExprs {
			evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, check.Kind, err)
			}
			checks[check.APIVersion+"/"+check.Kind] = evaluator
		}
	}
	return checks, nil
}

func (checks fluxChecks) of(ctx context.Context, object *unstructured.Unstructured) (verdict, error) {
	evaluator, found := checks[object.GetAPIVersion()+"/"+object.GetKind()]
	if !found {
		return verdict{}, fmt.Errorf("there is no expression for %s", object.GetKind())
	}
	result, err := evaluator.Evaluate(ctx, object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{Status: result.Status.String(), Message: result.Message}, nil
}
