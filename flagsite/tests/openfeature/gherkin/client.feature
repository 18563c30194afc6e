# What the client does around an evaluation, in the words of OpenFeature's own cases (https://github.com/open-feature/spec,
# specification/assets/gherkin: hooks.feature, evaluation_v2.feature, contextMerging.feature).
Feature: Evaluation with hooks, contexts and without blocking

  Scenario: Hooks are told how a flag came out
    Given a stable provider
    And a client with added hook
    And a Boolean-flag with key "boolean-disabled-flag" and a fallback value "true"
    When the flag was evaluated with details
    Then the "before" hook should have been executed
    And the "after, finally" hooks should be called with evaluation details
      | data_type | key        | value                 |
      | string    | flag_key   | boolean-disabled-flag |
      | boolean   | value      | false                 |
      | string    | variant    | off                   |
      | string    | reason     | DISABLED              |
      | string    | error_code | null                  |

  Scenario: Hooks are told of an error
    Given a stable provider
    And a client with added hook
    And a Boolean-flag with key "nobody-made-this" and a fallback value "true"
    When the flag was evaluated with details
    Then the "error" hook should have been executed
    And the "finally" hooks should be called with evaluation details
      | data_type | key        | value            |
      | string    | flag_key   | nobody-made-this |
      | boolean   | value      | true             |
      | string    | variant    | null             |
      | string    | reason     | ERROR            |
      | string    | error_code | FLAG_NOT_FOUND   |

  Scenario: Hooks of one evaluation run in order
    Given a stable provider
    And a Boolean-flag with key "boolean-flag" and a fallback value "false"
    And evaluation options containing specific hooks
    When the flag was evaluated with details using the evaluation options
    Then the specified hooks should execute during evaluation
    And the hook order should be maintained

  Scenario: A context stays as it was given
    Given a stable provider
    And a Boolean-flag with key "context-flag" and a fallback value "false"
    And an evaluation context with modifiable data
    When the flag was evaluated with details
    Then the original evaluation context should remain unmodified

  Scenario: A flag is asked for asynchronously
    Given a stable provider
    And a Boolean-flag with key "boolean-flag" and a fallback value "false"
    When the flag was evaluated with details asynchronously
    Then the evaluation should complete without blocking
    And the resolved details value should be "true"

  Scenario: A hook says where, and Flagsite hears it
    Given a stable provider with retrievable context is registered
    And A context entry with key "environment" and value "production" is added to the "Client" level
    And A context entry with key "environment" and value "staging" is added to the "Before Hooks" level
    When Some flag was evaluated
    Then The merged context contains an entry with key "environment" and value "staging"
    And its value is "true"

  Scenario Outline: A killed flag serves no value
    Given a stable provider
    And a <type>-flag with key "<key>" and a fallback value "<default>"
    When the flag was evaluated with details
    Then the resolved details value should be "<default>"
    And the reason should be "DISABLED"

    Examples:
      | key                  | type   | default    |
      | string-disabled-flag | String | bye        |
      | float-disabled-flag  | Float  | 0.1        |
      | object-disabled-flag | Object | {"a": 1}   |
