# Flagsite's cases, in the words of OpenFeature's own (https://github.com/open-feature/spec,
# specification/assets/gherkin), so that the steps beside this file can run those as well.
Feature: Evaluation of flags

  Background:
    Given a stable provider

  Scenario: A plain value
    When a boolean flag with key "boolean-flag" is evaluated with default value "false"
    Then the resolved boolean value should be "true"

  Scenario Outline: A flag that says the same to everybody
    Given a Boolean-flag with key "<key>" and a fallback value "<default>"
    When the flag was evaluated with details
    Then the resolved details value should be "<value>"
    And the flag key should be "<key>"
    And the variant should be "<variant>"
    And the reason should be "<reason>"

    Examples:
      | key                   | default | value | variant | reason   |
      | boolean-flag          | false   | true  | on      | STATIC   |
      | boolean-zero-flag     | true    | false | off     | STATIC   |
      | boolean-disabled-flag | true    | false | off     | DISABLED |

  Scenario Outline: A flag that depends on the context
    Given a Boolean-flag with key "context-flag" and a fallback value "true"
    And a context containing a key "environment", with type "String" and with value "<environment>"
    When the flag was evaluated with details
    Then the resolved details value should be "<value>"
    And the reason should be "<reason>"

    Examples:
      | environment | value | reason          |
      | staging     | true  | TARGETING_MATCH |
      | production  | false | STATIC          |

  Scenario: A context value that must be a string
    Given a Boolean-flag with key "context-flag" and a fallback value "true"
    And a context containing a key "environment", with type "Integer" and with value "1"
    When the flag was evaluated with details
    Then the resolved details value should be "true"
    And the reason should be "ERROR"
    And the error-code should be "INVALID_CONTEXT"

  Scenario Outline: A flag that nobody made, whatever it is asked for as
    Given a <type>-flag with key "nobody-made-this" and a fallback value "<default>"
    When the flag was evaluated with details
    Then the resolved details value should be "<default>"
    And the reason should be "ERROR"
    And the error-code should be "FLAG_NOT_FOUND"

    Examples:
      | type    | default |
      | Boolean | true    |
      | String  | bye     |
      | Integer | 1       |
      | Float   | 0.1     |
      | Object  | {}      |

  Scenario Outline: A boolean flag that is asked for as something else
    Given a <type>-flag with key "boolean-flag" and a fallback value "<default>"
    When the flag was evaluated with details
    Then the resolved details value should be "<default>"
    And the reason should be "ERROR"
    And the error-code should be "TYPE_MISMATCH"

    Examples:
      | type   | default |
      | String | bye     |
      | Float  | 0.1     |
      | Object | {}      |

  Scenario Outline: A flag of each type
    Given a <type>-flag with key "<key>" and a fallback value "<default>"
    When the flag was evaluated with details
    Then the resolved details value should be "<value>"
    And the variant should be "<variant>"
    And the reason should be "STATIC"

    Examples:
      | key               | type    | default | value                                                                            | variant  |
      | string-flag       | String  | bye     | hi                                                                               | greeting |
      | integer-flag      | Integer | 1       | 10                                                                               | ten      |
      | float-flag        | Float   | 0.1     | 0.5                                                                              | half     |
      | float-zero-flag   | Float   | 0.1     | 0.0                                                                              | zero     |
      | object-flag       | Object  | {}      | {"showImages": true, "title": "Check out these pics!", "imagesPerPage": 100} | template |

  Scenario: A rule serves a variant
    Given a Float-flag with key "float-targeted-zero-flag" and a fallback value "1.5"
    And a context containing a key "email", with type "String" and with value "ballmer@macrosoft.com"
    When the flag was evaluated with details
    Then the resolved details value should be "0.0"
    And the variant should be "zero"
    And the reason should be "TARGETING_MATCH"

  Scenario: A typed flag that is asked for as another type
    Given a Boolean-flag with key "string-flag" and a fallback value "true"
    When the flag was evaluated with details
    Then the resolved details value should be "true"
    And the reason should be "ERROR"
    And the error-code should be "TYPE_MISMATCH"
