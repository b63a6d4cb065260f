CLASS cx_root DEFINITION PUBLIC ABSTRACT CREATE PUBLIC.
  PUBLIC SECTION.
    INTERFACES if_message.
    ALIASES get_text FOR if_message~get_text.
    DATA previous TYPE REF TO cx_root READ-ONLY.
    METHODS constructor
      IMPORTING
        previous TYPE REF TO cx_root OPTIONAL.
ENDCLASS.

CLASS cx_root IMPLEMENTATION.
  METHOD constructor.
    me->previous = previous.
  ENDMETHOD.

  METHOD if_message~get_text.
    WRITE '@KERNEL result.set(globalThis.sapKernel.exceptionText(this));'.
  ENDMETHOD.

  METHOD if_message~get_longtext.
    result = get_text( ).
  ENDMETHOD.
ENDCLASS.
