CLASS cl_abap_random_int DEFINITION PUBLIC FINAL CREATE PRIVATE.
  PUBLIC SECTION.
    CLASS-METHODS create
      IMPORTING
        seed         TYPE i OPTIONAL
        min          TYPE i
        max          TYPE i
      RETURNING
        VALUE(prng) TYPE REF TO cl_abap_random_int.
    METHODS get_next
      RETURNING
        VALUE(value) TYPE i.
  PRIVATE SECTION.
    DATA seed TYPE i.
    DATA min TYPE i.
    DATA max TYPE i.
ENDCLASS.

CLASS cl_abap_random_int IMPLEMENTATION.
  METHOD create.
    CREATE OBJECT prng.
    prng->seed = seed.
    prng->min = min.
    prng->max = max.
  ENDMETHOD.

  METHOD get_next.
    value = min + seed MOD ( max - min + 1 ).
    seed = seed DIV 3 + 1.
  ENDMETHOD.
ENDCLASS.
